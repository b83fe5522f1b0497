"""Guesses what events of a log mean: a first draft of tasks.yaml, to be read and changed by a person.

::

    click          engagement, within PT30M         purchase       conversion, last_touch
    hide, report   negative, safety: they cost      out_of_stock   takes the row out
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tasks.contracts.log_sketch import EventSketch
from tasks.contracts.tasks import Family

FEWEST: Final = 100
"""Events that a task of a first draft has at least."""
_MOST: Final = 8
_HALF: Final = 0.5
_NEARLY_ALL: Final = 0.99
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,99}")
_SHOWN: Final = re.compile(r"impression|expos|shown|serve|render|display")
_OUT_ITEM: Final = re.compile(r"out_?of_?stock|stock_?out|sold_?out|unavailable|expired")
_OUT_USER: Final = re.compile(r"ineligible|not_?eligible|blocked_?user")
_AFTER: Final = re.compile(r"return|refund|cancel|chargeback")
_HARM: Final = (
    r"hide|dismiss|not_?interest|dislike|mute|unsubscribe|unfollow|downvote|hate|block|thumbs?_?down"
)
_SALE: Final = r"purchase|buy|bought|order|checkout|subscri|apply|book(?!mark)|pay|install|sign_?up|convert"
_JOY: Final = r"like|love|save|share|bookmark|favou?r|upvote|follow|complet|finish|thumbs?_?up"
_MEANINGS: Final = (
    (re.compile(r"report|complain|flag|abuse|spam"), Family.SAFETY, "long"),
    (re.compile(_HARM), Family.NEGATIVE, "long"),
    (re.compile(_SALE), Family.CONVERSION, "long"),
    (re.compile(r"cart|basket|wish"), Family.CONVERSION, "day"),
    (re.compile(_JOY), Family.SATISFACTION, "day"),
    (re.compile(r"click|open|tap"), Family.ENGAGEMENT, "short"),
)


@dataclass(frozen=True)
class TaskDraft:
    """A task of a first draft, with the event that it was guessed from."""

    name: str
    family: Family
    event: str
    within: str
    rows: int
    by_request: bool = False


@dataclass(frozen=True)
class TasksDraft:
    """Tasks, the events that take rows out (with ``item`` or ``user``), and the events left out with why."""

    tasks: tuple[TaskDraft, ...]
    exclusions: tuple[tuple[str, str], ...]
    left_out: tuple[tuple[str, str], ...]


def draft_tasks(events: Sequence[EventSketch], *, window_days: int) -> TasksDraft:
    """Guess a task for each event that could be an outcome, the most frequent first.

    Parameters
    ----------
    window_days : the longest window, in days.
    """
    tasks: list[TaskDraft] = []
    exclusions: list[tuple[str, str]] = []
    left_out: list[tuple[str, str]] = []
    for event in sorted(events, key=lambda one: (-one.rows, one.name)):
        lower = event.name.lower()
        if not _NAME.fullmatch(event.name):
            left_out.append((repr(event.name), "is no name of letters, digits, dots and underscores"))
        elif _OUT_ITEM.search(lower) or _OUT_USER.search(lower):
            exclusions.append((event.name, "item" if _OUT_ITEM.search(lower) else "user"))
        elif reason := _why_left_out(event, taken=len(tasks)):
            left_out.append((event.name, reason))
        else:
            tasks.append(_draft(event, window_days, taken=[task.name for task in tasks]))
    return TasksDraft(tuple(tasks), tuple(exclusions), tuple(left_out))


def _why_left_out(event: EventSketch, *, taken: int) -> str:
    lower = event.name.lower()
    if _SHOWN.search(lower):
        return "seems to say that an item was shown, which the impressions say"
    if _AFTER.search(lower):
        return "seems to follow another outcome: give it `after:` with that task, and a window of its own"
    if event.with_item < _HALF:
        return "names no item: a task on it needs another `match`, and `level: request`"
    if event.rows < FEWEST:
        return f"happened {event.rows} times, which is too few to learn from"
    return "comes after the most frequent ones" if taken >= _MOST else ""


def _draft(event: EventSketch, window_days: int, *, taken: Iterable[str]) -> TaskDraft:
    lower = event.name.lower()
    meaning = next((m for m in _MEANINGS if m[0].search(lower)), None)
    _, family, window = meaning or (None, Family.ENGAGEMENT, "day")
    within, suffix = {
        "short": ("PT30M", "30m"),
        "day": ("P1D", "1d"),
        "long": (f"P{window_days}D", f"{window_days}d"),
    }[window]
    stem = re.sub(r"_+", "_", re.sub(r"[^a-z0-9]", "_", lower)).strip("_")[:50]
    name = f"{stem}_{suffix}"
    while name in taken:
        name += "x"
    by_request = event.with_request >= _NEARLY_ALL
    return TaskDraft(name, family, event.name, within, event.rows, by_request)
