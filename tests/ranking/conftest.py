"""What a packaged release needs beside its heads and policies."""

from tests.release.conftest import manifest

__all__ = ["manifest"]
