"""The digest of a contract: sha256 over its canonical JSON; comments and the order of keys do not count."""

import hashlib
import json

from pydantic import BaseModel


def canonical(model: BaseModel) -> dict[str, object]:
    """Return a contract's content as plain JSON without defaults, so that a new key changes no digest."""
    return model.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def canonical_json(content: object) -> str:
    """Write plain JSON in its one canonical form."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(content: object) -> str:
    """Return the sha256 of plain JSON content, in hex.

    Examples
    --------
    >>> digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    True
    """
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()
