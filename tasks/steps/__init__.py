"""One file per pipeline step: run(...) -> a small frozen result."""
