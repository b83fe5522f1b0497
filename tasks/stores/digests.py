"""The digests by which files are compared: sha256 of one file, and one for a tree of files."""

import hashlib
from collections.abc import Mapping


def sha256(data: bytes) -> str:
    """Return the sha256 of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def tree_digest(files: Mapping[str, str]) -> str:
    r"""Return one digest for files given as ``{relative path: sha256}``.

    Examples
    --------
    >>> tree_digest({"b": "2", "a": "1"}) == sha256(b"a 1\nb 2\n")
    True
    """
    lines = (f"{path} {digest}\n" for path, digest in sorted(files.items()))
    return sha256("".join(lines).encode())
