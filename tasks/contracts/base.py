"""Base model of all contracts (closed, frozen, names are identifiers), and the digest of a contract.

The digest is the sha256 of the canonical JSON. It ignores comments, the order of keys and default values.
"""

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from ..errors import ContractError

_LARGEST: Final = 2**63

_NAME: Final = r"[A-Za-z][A-Za-z0-9_]{0,62}"
Identifier = Annotated[str, StringConstraints(pattern=rf"^{_NAME}$")]
"""A task, column or surface name: letters, digits and underscores, at most 63."""

EventName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.:-]{0,99}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=2000, strip_whitespace=True)]

Reference = Annotated[
    str, StringConstraints(max_length=200, strip_whitespace=True, pattern=r"^[^\x00-\x1f\x7f]+$")
]
"""A name from another system on one line, such as an experiment name (feed-142) or a URL."""

_Line = Annotated[str, StringConstraints(min_length=1, max_length=300, strip_whitespace=True)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,99}$")]
Version = Annotated[int, Field(ge=1)]


class Closed(BaseModel):
    """A frozen model that refuses unknown fields and does not coerce types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def require_name(name: str) -> None:
    """Refuse a surface whose folder name is not an `Identifier`, because MLflow and SQL would change it."""
    if not re.fullmatch(_NAME, name):
        raise ContractError(f"{name!r} is not a name: use letters, digits and underscores, a letter first")


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else _as_tuple(value)


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number")  # noqa: TRY004 - pydantic collects ValueError
    try:
        return float(value)
    except OverflowError:
        raise ValueError("has more digits than a number may have") from None


def _comparable(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("is not finite: no value of a column equals it")
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        raise ValueError("has more than 64 bits, and no value of a column equals it")
    return value


def _kind(value: object) -> str:
    return "true or false" if isinstance(value, bool) else "text" if isinstance(value, str) else "numbers"


def _of_one_kind(values: tuple[Any, ...]) -> tuple[Any, ...]:
    kinds = sorted({_kind(value) for value in values})
    if len(kinds) > 1:
        raise ValueError(f"mixes {' and '.join(kinds)}, and a column holds one of them")
    return values


def find_repeated(values: Iterable[str]) -> list[str]:
    """Return the values that occur more than once, in alphabetical order."""
    return sorted(value for value, times in Counter(values).items() if times > 1)


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    if twice := find_repeated(values):
        raise ValueError(f"named twice: {', '.join(twice)}")
    return values


def _on_one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be one line of printable characters")
    return text


Description = Annotated[
    _Line | None, AfterValidator(lambda text: text and _on_one_line(text)), Field(exclude=True)
]
"""A one-line description for pages. It does not enter the digest."""

Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
"""A finite number; bools and strings are refused."""

Fraction = Annotated[Number, Field(gt=0, le=1)]
Identifiers = Annotated[tuple[Identifier, ...], BeforeValidator(_as_tuple), AfterValidator(_distinct)]
EventNames = Annotated[
    tuple[EventName, ...], BeforeValidator(_one_or_many), AfterValidator(_distinct), Field(min_length=1)
]
Columns = Annotated[
    tuple[Identifier, ...], BeforeValidator(_one_or_many), AfterValidator(_distinct), Field(min_length=1)
]
Numbers = Annotated[tuple[Number, ...], BeforeValidator(_as_tuple)]
AsTuple = BeforeValidator(_as_tuple)
Share = Annotated[Number, Field(ge=0, le=1)]
Range = Annotated[tuple[Number, Number], AsTuple]
Scalar = Annotated[str | bool | int | float, AfterValidator(_comparable)]
"""A value that a column is compared with."""

Scalars = Annotated[tuple[Scalar, ...], AsTuple, AfterValidator(_of_one_kind), Field(min_length=1)]


def canonical(model: BaseModel) -> dict[str, object]:
    """Return a contract's content as plain JSON without defaults, so that a new key changes no digest."""
    return model.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def canonical_json(content: object) -> str:
    """Serialize plain JSON in its canonical form."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(content: object) -> str:
    """Return the sha256 of plain JSON content, in hex.

    Examples
    --------
    >>> digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    True
    """
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()
