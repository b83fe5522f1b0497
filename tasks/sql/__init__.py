"""SQL as trees: ``expressions`` builds them, fills templates with them and renders dialects.

Nothing here reads or writes data; the room has no step.
"""

__all__ = ["expressions"]
