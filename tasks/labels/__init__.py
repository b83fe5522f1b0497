"""Label contracts compiled to SQL; maturity, credit and status."""
