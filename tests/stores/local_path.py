"""Where a test needs pathlib: the store, the logs and their files lie in folders of this machine."""

from pathlib import Path

from tasks.stores.location import Location


def local(location: Location) -> Path:
    """Return a location that is no object of a store."""
    assert isinstance(location, Path)
    return location
