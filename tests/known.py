"""Values that a test knows to be there, of a type that says they may be missing."""

from typing import TypeVar

T = TypeVar("T")


def known(value: T | None) -> T:
    """Return a value that must not be None."""
    assert value is not None
    return value
