"""Problems of a contract file, and the valid rest of a file that has problems.

::

    plain data  ->  pydantic's errors  ->  remove the refused values  ->  repeat until the rest is valid

The rest is still cross-checked. A required value is removed together with its parent: an entry of a list of
rules, or a whole section, which is replaced by a placeholder. `Unread` lists the removed values. A
cross-check that reads one of them is skipped, because its result would describe the placeholder.
"""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

Place = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)
_NAME: Final = "unread"
_MOST_PASSES: Final = 50

SECTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "surface": {
        "surface": _NAME,
        "version": 1,
        "owner": _NAME,
        "sources": {"impressions": _NAME, "events": _NAME},
        "features": {"numeric": [_NAME]},
        "split": {"train": "P3650D", "calibrate": "P1D", "test": "P1D"},
    },
    "tasks": {"contract": _NAME, "version": 1},
    "utility": {
        "policy": _NAME,
        "version": 1,
        "owner": _NAME,
        "approvals": [_NAME],
        "weights": {_NAME: 1.0},
    },
    "slate": {"policy": _NAME, "version": 1, "length": 1000},
}
"""Required sections of each file; ``tasks`` has no placeholder because every check reads tasks."""

TASK: Final = {"family": "engagement", "positive": {"event": "any", "within": "PT1S"}}
"""Placeholder of a task that cannot be read."""

_COUNTED: Final = frozenset({"lexicographic", "proxies", "subject_to"})
"""Lists whose problems refer to entries by index; a refused entry removes the whole list."""


@dataclass(frozen=True)
class Problem:
    """A problem: file and field, the value that was found, and a hint with the valid values."""

    file: str
    field: str
    found: str
    hint: str

    def __str__(self) -> str:
        """Format the problem on one line."""
        found = f" = {self.found}" if self.found else ""
        return f"{self.file}: {self.field or 'file'}{found}: {self.hint}"

    def to_json(self) -> dict[str, str]:
        """Return plain JSON."""
        return asdict(self)


def abbreviate(value: object) -> str:
    """Format a value in at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def problems_of_validation(file: str, error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Convert each of pydantic's errors to a problem."""
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
    """Return the keys and indices that lead to an error, without pydantic's names of union members."""
    return tuple(part for part in finding["loc"] if not _is_union_label(part))


def _is_union_label(part: object) -> bool:
    return (
        isinstance(part, str)
        and ("[" in part or part in {"ExaminationSpec", "Quantile", "BaselineColumn"})
        and part != "[key]"
    )


def _fields_at(model: type[BaseModel], loc: Iterable[object]) -> list[str]:
    """List the fields of the model at a location by following the annotations."""
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


def _entry(section: Place, key: str | int) -> Any:
    """Return the placeholder of a section's entry, which keeps the others' indices; None without one."""
    rule = {"name": f"{_NAME}_{key}", "keep_when": {"column": _NAME, "equals": True}}
    entries: dict[Place, Any] = {
        ("tasks",): TASK,
        ("guardrails",): {"metric": "expected_utility", "min": -1e300},
        ("contexts",): {"name": f"{_NAME}_{key}", "when": {_NAME: key}, "hard_constraints": [rule]},
    }
    return entries.get(section)


@dataclass(frozen=True)
class Unread:
    """Places whose value was refused; each begins with the kind of its file: ``("surface", "segments")``.

    Examples
    --------
    >>> unread = Unread(frozenset({("utility", "weights", "click", "weight")}))
    >>> unread.touches("utility", "weights"), unread.touches("utility", "weights", "buy")
    (True, False)
    """

    places: frozenset[Place] = frozenset()

    def touches(self, *place: str | int) -> bool:
        """Whether a value at, below or above a place was refused."""
        return any(one[: len(place)] == place[: len(one)] for one in self.places)

    @property
    def segments(self) -> bool:
        """Whether the name of a segment could not be read; refused bins do not count."""
        below = (one[2:] for one in self.places if one[:2] == ("surface", "segments"))
        return any(place[1:2] != ("bins",) for place in below)

    def task(self, name: str) -> bool:
        """Whether a task could not be read as written."""
        return self.touches("tasks", "tasks", name)


ALL_READ: Final = Unread()


def salvage(kind: str, plain: Mapping[str, Any], model: type[Model]) -> tuple[Model | None, frozenset[Place]]:
    """Read a file without its refused values.

    Returns
    -------
    The model, None if nothing valid is left, and the places that were removed.
    """
    kept: dict[str, Any] = deepcopy(dict(plain))
    taken: set[Place] = set()
    for _ in range(_MOST_PASSES):
        try:
            return model.model_validate(kept), frozenset((kind, *place) for place in taken)
        except ValidationError as error:
            places = {_find(kept, place_of(finding)) for finding in error.errors(include_url=False)}
        blamed = {_blamed(kept, one) for one in places}
        outermost = (one for one in blamed if not any(one[:n] in blamed for n in range(len(one))))
        for place in sorted(outermost, key=_by_place, reverse=True):
            taken.add(place)
            if not _take_out(kept, place, SECTIONS[kind]):
                return None, frozenset()
    return None, frozenset()


def _find(plain: Any, place: Place) -> Place:
    """Return the longest prefix of a place that exists in the data; for a missing section, its name."""
    found: list[str | int] = []
    for part in place:
        held = range(len(plain)) if isinstance(plain, list) else plain if isinstance(plain, dict) else ()
        if part not in held:
            break
        found.append(part)
        plain = plain[part]
    return tuple(found) or place[:1]


def _blamed(plain: Mapping[str, Any], place: Place) -> Place:
    """Return the bins of a segment that is refused as a whole: only bins can contradict each other."""
    if len(place) == 2 and place[0] == "segments" and isinstance(entry := plain["segments"][place[1]], dict):
        return (*place, "bins") if "bins" in entry else place
    return place


def _by_place(place: Place) -> tuple[tuple[bool, int, str], ...]:
    return tuple((isinstance(part, int), part if isinstance(part, int) else 0, str(part)) for part in place)


def _take_out(plain: dict[str, Any], place: Place, sections: Mapping[str, Any]) -> bool:
    """Remove a value or replace it by a placeholder; False if neither is possible."""
    *above, last = place
    holder: Any = plain
    for part in above:
        holder = holder[part]
    substitute = _entry(tuple(above), last)
    if above and above[-1] in _COUNTED:
        return _take_out(plain, tuple(above), sections)
    if substitute is not None and holder[last] != substitute:
        holder[last] = substitute
    elif isinstance(holder, list):
        holder.pop(int(last))
    elif last in holder:
        del holder[last]
    elif not above and last in sections:
        holder[last] = deepcopy(sections[str(last)])
    else:
        return False
    return True
