"""A simulated feed whose true probabilities are known."""
