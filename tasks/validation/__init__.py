"""Great Expectations: our own expectations, running suites, severity."""
