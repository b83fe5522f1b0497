"""Event names of a log that no task of a surface reads.

A log may be shared by several surfaces. A name that another surface declares is no problem. A name that no
surface declares may be a typo, so it is reported with the most similar known name.
"""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError

from tasks.contracts.load import read_yaml, surface_names
from tasks.contracts.tasks import TasksSpec
from tasks.errors import ContractError, list_names

_LONGEST = 80


def events_elsewhere(root: Path, surface: str) -> dict[str, str]:
    """Return the event names that other surfaces declare, each with the first such surface.

    A surface whose tasks cannot be read is skipped.
    """
    declared: dict[str, str] = {}
    for name in surface_names(root) if root.is_dir() else ():
        for event in _declared(root / name / "tasks.yaml") if name != surface else ():
            declared.setdefault(event, name)
    return declared


def _declared(file: Path) -> Collection[str]:
    try:
        return TasksSpec.model_validate(read_yaml(file)).events
    except (ContractError, ValidationError, OSError, ValueError):
        return ()


def describe_strange_events(
    counts: Mapping[str, int], own: Collection[str], elsewhere: Mapping[str, str]
) -> tuple[str, ...]:
    """Describe events that no task reads: the surface that declares them, or the most similar known name.

    Parameters
    ----------
    counts : events by name, the most frequent first.
    own : event names of the surface.
    elsewhere : event names of other surfaces, each with its surface.

    Examples
    --------
    >>> strange = describe_strange_events({"watch": 7, "clik": 2}, ["click"], {"watch": "video"})
    >>> strange[0]
    'events of other surfaces: watch (7, video)'
    >>> strange[1]
    "events that no task of any surface reads: clik (2, is it 'click'?)"
    """
    known = sorted({*own, *elsewhere})
    others = [f"{name} ({n:,}, {elsewhere[name]})" for name, n in counts.items() if name in elsewhere]
    nobodys = [
        f"{name[:_LONGEST]} ({n:,}{_nearest(name, known)})"
        for name, n in counts.items()
        if name not in elsewhere
    ]
    named = {"events of other surfaces": others, "events that no task of any surface reads": nobodys}
    return tuple(f"{whose}: {list_names(names)}" for whose, names in named.items() if names)


def _nearest(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name[:_LONGEST], known, n=1)
    return f", is it '{close[0]}'?" if close else ""
