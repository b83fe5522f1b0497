"""A problem of a contract file, and how pydantic's findings become ours."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError


@dataclass(frozen=True)
class Problem:
    """Where something is wrong, what was found and what would be right."""

    file: str
    field: str
    found: str
    hint: str

    def __str__(self) -> str:
        """Write the problem on one line."""
        found = f" = {self.found}" if self.found else ""
        return f"{self.file}: {self.field or 'file'}{found}: {self.hint}"

    def to_json(self) -> dict[str, str]:
        """Return plain JSON."""
        return asdict(self)


def abbreviate(value: object) -> str:
    """Write a found value on at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def problems_of_validation(file: str, error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Turn each of pydantic's findings into a problem."""
    return [_problem(file, finding, model) for finding in error.errors(include_url=False)]


def _problem(file: str, finding: Any, model: type[BaseModel]) -> Problem:
    loc = place_of(finding)
    field = ".".join(str(part) for part in loc if part != "[key]")
    if finding["type"] == "extra_forbidden":
        names = _fields_at(model, loc[:-1])
        close = get_close_matches(str(loc[-1]), names, n=1)
        hint = f"unknown key. Known: {', '.join(sorted(names))}." + (
            f" Did you mean '{close[0]}'?" if close else ""
        )
        return Problem(file, field, abbreviate(finding["input"]), hint)
    if finding["type"] == "missing":
        return Problem(file, field, "", "is missing and has no default")
    if "[key]" in loc:
        return Problem(file, field, "", "is not a name: use letters, digits and underscores, a letter first")
    return Problem(file, field, abbreviate(finding["input"]), finding["msg"].removeprefix("Value error, "))


def place_of(finding: Any) -> tuple[str | int, ...]:
    """Return the keys and indices that lead to what pydantic found, without its names of union members."""
    return tuple(part for part in finding["loc"] if not _is_union_label(part))


def _is_union_label(part: object) -> bool:
    return (
        isinstance(part, str)
        and ("[" in part or part in {"Examination", "Quantile", "BaselineColumn"})
        and part != "[key]"
    )


def _fields_at(model: type[BaseModel], loc: Iterable[object]) -> list[str]:
    """Name the fields of the model at a location, by walking the annotations."""
    here: list[type[BaseModel]] = [model]
    for part in loc:
        steps = [
            m.model_fields[part].annotation for m in here if isinstance(part, str) and part in m.model_fields
        ]
        here = [m for s in steps for m in _models_in(s)] or here
    return sorted({field.alias or name for m in here for name, field in m.model_fields.items()})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for inner in getattr(annotation, "__args__", ()) for m in _models_in(inner)]
