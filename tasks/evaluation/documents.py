"""Documents: what one step writes as JSON and another reads, each a closed model with a name and a version.

::

    {"document": "training", "version": 1, ...}

A figure that is not finite is null in JSON and NaN in Python. An unknown key is refused: a reader that leaves
out what it does not know would judge by less than was found.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Annotated, Any, Final, Self, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError, WrapSerializer

from tasks.errors import ContractError, StoreError

CLOSED: Final = ConfigDict(extra="forbid")
"""``__pydantic_config__`` of a dataclass that stands in documents."""

Figure = Annotated[
    float,
    BeforeValidator(lambda value: math.nan if value is None else value),
    PlainSerializer(lambda value: value if math.isfinite(value) else None, return_type=float | None),
]
"""A float that may be unknown: NaN, in JSON null."""


class Section(BaseModel):
    """A part of a document: frozen, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return self.model_dump(mode="json")


class Document(Section):
    """A whole document; a subclass says its name and version as literals with a default."""

    document: str
    version: int

    def content(self) -> dict[str, Any]:
        """Return plain JSON without the document's name and version."""
        return self.model_dump(mode="json", exclude={"document", "version"})

    @classmethod
    def read(cls, text: str | bytes, *, where: str) -> Self:
        """Read a document.

        Parameters
        ----------
        where : what holds it, for messages: ``Run 1ab2``.

        Raises
        ------
        ContractError
            It is the document of another step.
        StoreError
            It is newer than this program, or not of this shape.
        """
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
                f"{where} holds no {name} evidence of version {version}: {_problem(error)}. "
                "Run its step again."
            ) from error


T = TypeVar("T")


def flattened(kind: type[T], inner: str) -> Any:
    """Return how a dataclass stands in documents with the fields of one of its values among its own.

    Parameters
    ----------
    kind : the dataclass.
    inner : its field whose value is a dataclass too.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> Point = dataclass(type("Point", (), {"__annotations__": {"x": int}}))
    >>> Named = dataclass(type("Named", (), {"__annotations__": {"name": str, "at": Point}}))
    >>> class Map(Section):
    ...     places: tuple[flattened(Named, "at"), ...]
    >>> Map.model_validate({"places": [{"name": "home", "x": 3}]}).to_json()
    {'places': [{'name': 'home', 'x': 3}]}
    """
    own = {field.name for field in fields(cast("Any", kind))} - {inner}

    def nest(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        outside = {key: found for key, found in value.items() if key in own}
        return {**outside, inner: {key: found for key, found in value.items() if key not in own}}

    def flatten(value: Any, serialize: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        plain = serialize(value)
        return {key: found for name in plain for key, found in _spread(plain, name, inner)}

    return Annotated[kind, BeforeValidator(nest), WrapSerializer(flatten)]


def _spread(plain: Mapping[str, Any], name: str, inner: str) -> Iterable[tuple[str, Any]]:
    return plain[name].items() if name == inner else [(name, plain[name])]


def _problem(error: Exception) -> str:
    """Say the first problem, with its place."""
    if not isinstance(error, ValidationError):
        return repr(error)
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}"
