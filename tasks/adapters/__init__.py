"""Public data sets turned into the log tables."""
