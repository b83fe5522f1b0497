"""Reads what is sound of a contract file that has problems, so that the rest can still be cross-checked.

::

    plain data  ->  pydantic's findings  ->  refused values are taken out  ->  again, until the rest is valid

A value that is required is taken out with what holds it: an entry of a list of rules, or a whole section, for
which a stand-in is read. What was taken out is `Unread`: a cross-check that looks it up is left out, since
its result would be that of the stand-in.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from tasks.contracts.problems import place_of

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
"""Sections that each file must have; ``tasks`` has no stand-in, for all that is checked names tasks."""
TASK: Final = {"family": "engagement", "positive": {"event": "any", "within": "PT1S"}}
"""What stands for a task that cannot be read."""


_COUNTED: Final = frozenset({"lexicographic", "proxies", "subject_to"})
"""Lists whose problems name an entry by its index: a refused entry takes the whole list out."""


def _entry(section: Place, key: str | int) -> Any:
    """Return what stands for an entry of a section, so that the others keep their indices; None for none."""
    rule = {"name": f"{_NAME}_{key}", "keep_when": {"column": _NAME, "equals": True}}
    entries: dict[Place, Any] = {
        ("tasks",): TASK,
        ("guardrails",): {"metric": "expected_utility", "min": -1e300},
        ("contexts",): {"name": f"{_NAME}_{key}", "when": {_NAME: key}, "hard_constraints": [rule]},
    }
    return entries.get(section)


@dataclass(frozen=True)
class Unread:
    """Places whose value was refused, each beginning with the kind of its file: ``("surface", "segments")``.

    Examples
    --------
    >>> unread = Unread(frozenset({("utility", "weights", "click", "weight")}))
    >>> unread.touches("utility", "weights"), unread.touches("utility", "weights", "buy")
    (True, False)
    """

    places: frozenset[Place] = frozenset()

    def touches(self, *place: str | int) -> bool:
        """Whether a value at or below a place, or one that held it, was refused."""
        return any(one[: len(place)] == place[: len(one)] for one in self.places)

    @property
    def segments(self) -> bool:
        """Whether the name of a segment could not be read; its bins name nothing."""
        below = (one[2:] for one in self.places if one[:2] == ("surface", "segments"))
        return any(place[1:2] != ("bins",) for place in below)

    def task(self, name: str) -> bool:
        """Whether a task could not be read as it was written."""
        return self.touches("tasks", "tasks", name)

    def with_tasks(self, names: set[str]) -> "Unread":
        """Return the same with further tasks."""
        return Unread(self.places | {("tasks", "tasks", name) for name in names})


ALL_READ: Final = Unread()


def salvage(kind: str, plain: Mapping[str, Any], model: type[Model]) -> tuple[Model | None, frozenset[Place]]:
    """Read a file without the values that are refused.

    Returns
    -------
    The model, None where nothing sound is left, and the places that were taken out.
    """
    kept: dict[str, Any] = deepcopy(dict(plain))
    taken: set[Place] = set()
    for _ in range(_MOST_PASSES):
        try:
            return model.model_validate(kept), frozenset((kind, *place) for place in taken)
        except ValidationError as error:
            places = {_find(kept, place_of(finding)) for finding in error.errors(include_url=False)}
        for place in sorted(_outermost({_blamed(kept, one) for one in places}), key=_by_place, reverse=True):
            taken.add(place)
            if not _take_out(kept, place, SECTIONS[kind]):
                return None, frozenset()
    return None, frozenset()


def _find(plain: Any, place: Place) -> Place:
    """Return the part of a place that the data hold; of a section that is missing, its name."""
    found: list[str | int] = []
    for part in place:
        held = range(len(plain)) if isinstance(plain, list) else plain if isinstance(plain, dict) else ()
        if part not in held:
            break
        found.append(part)
        plain = plain[part]
    return tuple(found) or place[:1]


def _blamed(plain: Mapping[str, Any], place: Place) -> Place:
    """Return the bins of a segment that is refused as a whole: they alone can contradict each other."""
    if len(place) == 2 and place[0] == "segments" and isinstance(entry := plain["segments"][place[1]], dict):
        return (*place, "bins") if "bins" in entry else place
    return place


def _outermost(places: set[Place]) -> Iterator[Place]:
    for place in places:
        if not any(place[:n] in places for n in range(len(place))):
            yield place


def _by_place(place: Place) -> tuple[tuple[bool, int, str], ...]:
    return tuple((isinstance(part, int), part if isinstance(part, int) else 0, str(part)) for part in place)


def _take_out(plain: dict[str, Any], place: Place, sections: Mapping[str, Any]) -> bool:
    """Take a value out, or put a stand-in into its place; False where neither is possible."""
    *above, last = place
    holder: Any = plain
    for part in above:
        holder = holder[part]
    stand_in = _entry(tuple(above), last)
    if above and above[-1] in _COUNTED:
        return _take_out(plain, tuple(above), sections)
    if stand_in is not None and holder[last] != stand_in:
        holder[last] = stand_in
    elif isinstance(holder, list):
        holder.pop(int(last))
    elif last in holder:
        del holder[last]
    elif not above and last in sections:
        holder[last] = deepcopy(sections[str(last)])
    else:
        return False
    return True
