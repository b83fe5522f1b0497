"""The client of an S3 object store. Importing it takes a second, so only what needs an object store does."""

import functools
from typing import Any

from s3fs import S3FileSystem


@functools.cache
def client(endpoint: str, key: str) -> S3FileSystem:
    """Return this process's client for an endpoint and a key; no listing is remembered: others write too."""
    return S3FileSystem(use_listings_cache=False, skip_instance_cache=True)


class Remembering(S3FileSystem):
    """A client for one DuckDB connection that asks once how large an object is, and not at every scan.

    For as long as the connection lives an object must stay as it is: a table's files are never written again,
    and a log that changes while a step reads it would be no log.
    """

    cachable = False

    def __init__(self) -> None:
        super().__init__(use_listings_cache=False)
        self._known: dict[str, dict[str, Any]] = {}

    async def _info(self, path: str, *given: Any, **how: Any) -> dict[str, Any]:
        name = self._strip_protocol(path)
        if name not in self._known:
            found: dict[str, Any] = await super()._info(path, *given, **how)
            if found["type"] != "file":
                return found
            self._known[name] = found
        return self._known[name]
