"""SQL as trees: expressions, templates and dialects.

Nothing here reads or writes data; the room has no step.
"""
