"""The client of an S3 object store. Importing it takes a second, so it is imported only when needed."""

import functools
from typing import Any

from s3fs import S3FileSystem


@functools.cache
def client(endpoint: str, key: str) -> S3FileSystem:
    """Return this process's client for an endpoint and a key, without caching listings: others write too."""
    return S3FileSystem(use_listings_cache=False, skip_instance_cache=True)


class Remembering(S3FileSystem):
    """A client for one DuckDB connection that requests the size of an object once instead of at every scan.

    Objects must not change during the life of the connection: a table's files are never rewritten, and a log
    must not change while a step reads it.
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
