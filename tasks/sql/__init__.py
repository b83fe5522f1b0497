"""SQL as trees: ``expressions`` builds them, ``templates`` fills DuckDB queries and renders dialects.

Nothing here reads or writes data; the room has no step.
"""

__all__ = ["expressions", "templates"]
