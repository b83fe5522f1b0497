"""SQL as trees: ``expressions`` builds them, fills templates with them and renders dialects.

This package reads and writes no data and has no steps.
"""

__all__ = ["expressions"]
