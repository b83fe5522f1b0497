"""A simulated world with known truth, and public data sets, as log tables."""
