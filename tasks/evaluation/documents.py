"""Documents: JSON that one step writes and another reads, each a closed model with a name and a version.

::

    {"document": "training", "version": 1, ...}

A figure that is not finite is null in JSON and NaN in Python. An unknown key is an error, because a reader
that ignores unknown keys would evaluate only part of the evidence.
"""

import json
import math
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError

from tasks.errors import ContractError, StoreError

CLOSED: Final = ConfigDict(extra="forbid")
"""``__pydantic_config__`` of a dataclass used in documents."""

MaybeFloat = Annotated[
    float,
    BeforeValidator(lambda value: math.nan if value is None else value),
    PlainSerializer(lambda value: value if math.isfinite(value) else None, return_type=float | None),
]
"""A float that may be unknown: NaN in Python, null in JSON."""


class Section(BaseModel):
    """A section of a document: frozen, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return self.model_dump(mode="json")


class Document(Section):
    """A whole document; a subclass defines its name and version as literals with a default."""

    document: str
    version: int

    def content(self) -> dict[str, Any]:
        """Return plain JSON without the document's name and version."""
        return self.model_dump(mode="json", exclude={"document", "version"})

    @classmethod
    def read(cls, text: str | bytes, *, where: str) -> Self:
        """Read a document."""
        name, version = (cls.model_fields[key].default for key in ("document", "version"))
        try:
            plain = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise StoreError(f"{where} holds no {name} evidence: {error}. Run its step again.") from error
        if not isinstance(plain, dict) or not plain.keys() >= {"document", "version"}:
            raise StoreError(
                f"{where} holds no {name} evidence: it names no document and version. Run its step again."
            )
        found = (plain["document"], plain["version"])
        if found[0] != name:
            raise ContractError(f"{where} holds {found[0]} evidence, not {name}. Name a run of that step.")
        if found[1] != version:
            raise StoreError(
                f"{where} holds {name} evidence of version {found[1]}; this program reads version {version}. "
                "Use the program that wrote it, or run its step again with this one."
            )
        try:
            return cls.model_validate(plain)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{where} holds no {name} evidence of version {version}: {first_problem(error)}. "
                "Run its step again."
            ) from error


def first_problem(error: Exception) -> str:
    """Return the first problem of a refused document, with its location.

    Examples
    --------
    >>> first_problem(KeyError("surface"))
    "KeyError('surface')"
    """
    if not isinstance(error, ValidationError):
        return repr(error)
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}"
