"""A simulated e-commerce feed whose true probabilities are known: for tests, benchmarks and demos."""
