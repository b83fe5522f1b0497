"""A first draft of a surface's four files from a sketch of its log: valid, commented, to be changed.

::

    click          engagement, within PT30M         purchase       conversion, last_touch
    hide, report   negative, safety: they cost      out_of_stock   takes the row out

Decisions that a person has to make (approvers, weights, acceptable harm) are guesses, marked by a comment.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from tasks import columns as c
from tasks.contracts.log_sketch import ColumnSketch, EventSketch, LogSketch
from tasks.contracts.tasks import Family
from tasks.errors import DataError

FEWEST: Final = 100
"""Events that a task of a first draft has at least."""
_MOST: Final = 8
_HALF: Final = 0.5
_NEARLY_ALL: Final = 0.99
_EVENT_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,99}")
_SHOWN: Final = re.compile(r"impression|expos|shown|serve|render|display")
_OUT_ITEM: Final = re.compile(r"out_?of_?stock|stock_?out|sold_?out|unavailable|expired")
_OUT_USER: Final = re.compile(r"ineligible|not_?eligible|blocked_?user")
_AFTER: Final = re.compile(r"return|refund|cancel|chargeback")
_HARM: Final = (
    r"hide|dismiss|skip|not_?interest|dislike|mute|unsubscribe|unfollow|downvote|hate|block|thumbs?_?down"
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
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_MANY: Final = 1000
_FEW: Final = 20
_KEPT: Final = frozenset(
    {
        c.RELEASE, c.SHOWN, c.SERVED_UTILITY, c.DAY, c.PROPENSITY, c.DRAWABLE, c.VISIBLE, c.POSITION,
        "experiment", "arm",
    }
)  # fmt: skip
_KINDS: Final = frozenset({"string", "integer", "number", "boolean"})
_OUTCOME: Final = re.compile(
    r"(is_?|was_?|has_?)?(click|buy|purchas|convert|label|target|outcome)(e?d|s|ed_.*)?|y"
)
_POPULAR: Final = re.compile(r"popular|score|rank|ctr|rate|views|count")
_PERMITTED: Final = re.compile(r"(is_?)?(permitted|allowed|eligible|approved)")
_VIOLATION: Final = re.compile(r"(is_?)?(policy_)?(violation|banned|blocked)")
_WORTH: Final = {
    Family.ENGAGEMENT: 1.0,
    Family.SATISFACTION: 3.0,
    Family.CONVERSION: 10.0,
    Family.LONG_TERM: 10.0,
    Family.NEGATIVE: -5.0,
    Family.SAFETY: -20.0,
}

_HALF_AN_HOUR: Final = 1 / 48
_SPLITS: Final = ((28, 7, 7, 7), (14, 7, 7, 7), (7, 7, 7, 7), (7, 3, 3, 3), (3, 2, 2, 2))
"""Train, calibrate, test and least train days; the first that a log is enough for is taken."""
_WINDOWS: Final = (7, 3, 1)
"""The longest window of a task in days; the first is taken that leaves days enough for one of the splits."""
_SHORT_LOG: Final = (0.25, (2, 1, 1, 1))
"""Window and split of a log that is too short for any of these."""


@dataclass(frozen=True)
class TaskDraft:
    """A task of a first draft, with the event that it was guessed from; ``days`` is its window's length.

    ``match`` names the columns by which an event finds its impression, empty for those of every contract.
    """

    name: str
    family: Family
    event: str
    within: str
    days: float
    rows: int
    match: tuple[str, ...] = ()


@dataclass(frozen=True)
class TasksDraft:
    """Tasks, the events that take rows out (with ``item`` or ``user``), and the events left out with why."""

    tasks: tuple[TaskDraft, ...]
    exclusions: tuple[tuple[str, str], ...]
    left_out: tuple[tuple[str, str], ...]


def draft_tasks(events: Sequence[EventSketch], *, window_days: float, impression: str = "") -> TasksDraft:
    """Guess a task for each event that could be an outcome, the most frequent first."""
    tasks: list[TaskDraft] = []
    exclusions: list[tuple[str, str]] = []
    left_out: list[tuple[str, str]] = []
    for event in sorted(events, key=lambda one: (-one.rows, one.name)):
        lower = event.name.lower()
        if not _EVENT_NAME.fullmatch(event.name):
            left_out.append((repr(event.name), "is no name of letters, digits, dots and underscores"))
        elif _OUT_ITEM.search(lower) or _OUT_USER.search(lower):
            exclusions.append((event.name, "item" if _OUT_ITEM.search(lower) else "user"))
        elif reason := _why_left_out(event, taken=len(tasks)):
            left_out.append((event.name, reason))
        else:
            match = _match(event, impression)
            tasks.append(_draft(event, window_days, match, taken=[task.name for task in tasks]))
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


def _match(event: EventSketch, impression: str) -> tuple[str, ...]:
    if impression and event.with_impression >= _NEARLY_ALL * event.with_item:
        return (impression,)
    return (c.REQUEST_ID, c.ITEM_ID) if event.with_request >= _NEARLY_ALL else ()


def _draft(
    event: EventSketch, window_days: float, match: tuple[str, ...], *, taken: Iterable[str]
) -> TaskDraft:
    lower = event.name.lower()
    meaning = next((m for m in _MEANINGS if m[0].search(lower)), None)
    _, family, window = meaning or (None, Family.ENGAGEMENT, "day")
    days = min(1, window_days) if window == "day" else window_days
    number, unit = (round(days), "D") if days >= 1 else (round(days * 24), "H")
    within, suffix = f"P{'T' * (unit == 'H')}{number}{unit}", f"{number}{unit.lower()}"
    if window == "short":
        within, suffix, days = "PT30M", "30m", _HALF_AN_HOUR
    stem = re.sub(r"_+", "_", re.sub(r"[^a-z0-9]", "_", lower)).strip("_")[:50]
    name = f"{stem}_{suffix}"
    while name in taken:
        name += "x"
    return TaskDraft(name, family, event.name, within, days, event.rows, match)


@dataclass(frozen=True)
class _Roles:
    """What the described columns are taken for."""

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    segments: tuple[str, ...]
    keep_when: tuple[str, ...]
    drop_when: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


def draft_contracts(surface: str, sketch: LogSketch, *, owner: str) -> dict[str, str]:
    """Write the four files of a surface.

    Returns
    -------
    Name of the file -> its text.
    """
    window, _ = _fit_days(sketch.days, _WINDOWS)
    drafted = draft_tasks(sketch.events, window_days=window, impression=sketch.impression)
    if not drafted.tasks:
        known = ", ".join(f"{name} ({why})" for name, why in drafted.left_out) or "none"
        raise DataError(f"No event of the log could be an outcome. Events: {known}")
    _, split = _fit_days(sketch.days, [max(task.days for task in drafted.tasks)])
    roles = _find_roles(sketch, drafted.tasks)
    if not roles.numeric and not roles.categorical:
        known = ", ".join(f"{name} ({why})" for name, why in roles.left_out) or "none"
        raise DataError(f"No column of the impressions could be a feature. Columns besides the keys: {known}")
    slug = surface.lower().replace("_", "-")
    texts = {
        "surface": [*_heading(surface, sketch, owner), *_surface(sketch, roles, split, drafted.tasks)],
        "tasks": _tasks(slug, sketch, drafted),
        "utility": _utility(slug, owner, roles, drafted.tasks),
        "slate": _slate(slug, sketch, roles),
    }
    return {f"{name}.yaml": "\n".join(lines) + "\n" for name, lines in texts.items()}


def _fit_days(days: int, windows: Sequence[float]) -> tuple[float, tuple[int, int, int, int]]:
    """Return the first window and split that a log of some days is enough for.

    A window costs whole days: before calibration, before the test and before the end of the log.
    """
    for window, split in product(windows, _SPLITS):
        _, calibrate, test, least = split
        if least + calibrate + test + 3 * math.ceil(window) <= days:
            return window, split
    return _SHORT_LOG


def _find_roles(sketch: LogSketch, tasks: Sequence[TaskDraft]) -> _Roles:
    outcomes = {name.lower() for task in tasks for name in (task.event, task.name)}
    numeric: list[str] = []
    categorical: list[str] = []
    keep: list[str] = []
    drop: list[str] = []
    left_out: list[tuple[str, str]] = []
    for column in sketch.described:
        reason = _why_no_feature(column, sketch.rows, outcomes)
        if column.kind == "boolean" and _PERMITTED.fullmatch(column.name):
            keep.append(column.name)
        elif column.kind == "boolean" and _VIOLATION.fullmatch(column.name):
            drop.append(column.name)
        elif reason:
            left_out.append((column.name, reason))
        else:
            (categorical if column.kind == "string" else numeric).append(column.name)
    few = [one for one in sketch.described if one.name in categorical and 2 <= one.distinct <= _FEW]
    segments = sorted(few, key=lambda one: (one.name != c.SOURCE, one.distinct))[:2]
    return _Roles(
        numeric=tuple(numeric),
        categorical=tuple(categorical),
        segments=tuple(one.name for one in segments),
        keep_when=tuple(keep),
        drop_when=tuple(drop),
        left_out=tuple(left_out),
    )


def _why_no_feature(column: ColumnSketch, rows: int, outcomes: set[str]) -> str:
    """Say why a column is no input of a model; nothing where it may be one."""
    name, text = column.name.lower(), column.kind == "string"
    reasons = {
        "needs another name, by `columns:`": not _NAME.fullmatch(column.name) or "__" in name,
        "is known only after ranking, or about it": name in _KEPT or name.startswith("served_"),
        "looks like an outcome: an input is known before the item is shown": (
            name in outcomes or _OUTCOME.fullmatch(name) is not None
        ),
        f"is of kind {column.kind}": column.kind not in _KINDS,
        "has one value": column.distinct <= 1,
        f"has about {column.distinct:,} values": text and column.distinct > min(_MANY, rows // 2),
        "is an id": name.endswith("_id"),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _heading(surface: str, sketch: LogSketch, owner: str) -> Iterator[str]:
    yield f"# {surface}: a first draft from its log of {sketch.rows:,} impressions on {sketch.days} days. The"
    yield "# page Contracts describes every key; raise `version` with every change."
    yield f"surface: {surface} # the folder's name"
    yield "version: 1"
    yield f"owner: {owner} # who answers for it"
    yield f"reviewers: {{product: [{owner}]}} # role: users who may approve for it"
    yield "promotion: # on a machine of one person; without it a promotion asks the reviewers"
    yield "  approvals_on_command_line: true # whoever types `equipoise promote` signs alone"
    yield "sources: # below the logs folder (EQUIPOISE_LOGS, else .equipoise/logs)"
    yield from (f"  {table}: {_quoted(source)}" for table, source in sketch.sources.items())
    if "candidates" not in sketch.sources:
        yield "# without logged candidates a replay only reorders what was shown, and every release is held"
        yield "shown_is_all: false # true: every candidate of a request was shown, as on a mailer's page"
    if sketch.columns:
        yield "columns: # our name: the log's"
        yield from (f"  {ours}: {_quoted(theirs)}" for ours, theirs in sketch.columns.items())


def _surface(
    sketch: LogSketch, roles: _Roles, split: tuple[int, int, int, int], tasks: Sequence[TaskDraft]
) -> Iterator[str]:
    train, calibrate, test, least = split
    yield "features: # known before the item is shown, as they were logged"
    yield from _listed("numeric", roles.numeric)
    yield from _listed("categorical", roles.categorical)
    yield from (f"  # left out: {_comment(name)}, which {why}" for name, why in roles.left_out)
    if roles.segments:
        yield f"segments: [{', '.join(map(_quoted, roles.segments))}] # every report is split by these"
    yield from _examination(sketch)
    yield "# `equipoise plan` shows which days these are"
    yield f"split: {{train: P{train}D, calibrate: P{calibrate}D, test: P{test}D}}"
    positives = max(20, min(200, min(task.rows for task in tasks) // 10))
    yield f"minimum: {{train: P{least}D, positives: {positives}}} # less cannot be trained on"
    if not sketch.positions:
        yield "gates:"
        yield "  decision: # no position is logged, so a first release is compared with a column's order"
        yield f"    first: {{column: {_quoted(_baseline(roles))}}}"
    yield "# base_rates: {TASK: [0.001, 0.1]} # say which rates you hold for possible: others stop a run"


def _examination(sketch: LogSketch) -> Iterator[str]:
    if not sketch.positions:
        return
    curve = ", ".join(f"{1 / (1 + 0.1 * place):.2f}" for place in range(min(sketch.positions, 50)))
    yield "examination: # a guess: the share of people who look at each position"
    yield f"  by_position: [{curve}]"


def _baseline(roles: _Roles) -> str:
    popular = [name for name in roles.numeric if _POPULAR.search(name)]
    if not roles.numeric:
        raise DataError(
            "The log has no position and no numeric column, so nothing says with which order a first release "
            "is to be compared. Log the position"
        )
    return (popular or list(roles.numeric))[0]


def _tasks(slug: str, sketch: LogSketch, drafted: TasksDraft) -> Iterator[str]:
    yield "# What each outcome means: an event within a window after the impression. Windows are lengths of"
    yield "# time, days are UTC. Read each line: families and windows were guessed from the events' names."
    yield f"contract: {slug}-labels"
    yield "version: 1"
    yield "tasks:"
    excluding = [f"{{event: {name}, on: {on}}}" for name, on in drafted.exclusions]
    for task in drafted.tasks:
        yield f"  {task.name}: # {task.rows:,} events in the log"
        costs = " # it costs" if task.family.costs else ""
        yield f"    family: {task.family.value}{costs}"
        touch = ", credit: last_touch" if task.family is Family.CONVERSION else ""
        match = f", match: [{', '.join(map(_quoted, task.match))}]" if task.match else ""
        yield f"    positive: {{event: {_quoted(task.event)}, within: {task.within}{touch}{match}}}"
        if sketch.has_visible and task.family is Family.ENGAGEMENT:
            yield f"    observed_when: {{column: {c.VISIBLE}}} # what was never on the screen is no negative"
        if excluding and task.family is Family.CONVERSION:
            yield f"    exclude: [{', '.join(excluding)}] # such a row is no negative"
    yield from (f"  # left out: {_comment(name)} {why}" for name, why in drafted.left_out)


def _utility(slug: str, owner: str, roles: _Roles, tasks: Sequence[TaskDraft]) -> Iterator[str]:
    yield "# What an impression is worth: the sum of weight x calibrated probability. These weights are"
    yield "# placeholders: say what one outcome is worth in units of another, and have `approvals` review it."
    yield f"policy: {slug}-utility"
    yield "version: 1"
    yield f"owner: {owner}"
    yield "approvals: [product]"
    yield "weights:"
    for task in tasks:
        why = f"a placeholder for {task.family.value}"
        yield f'  {task.name}: {{weight: {_WORTH[task.family]}, why: "{why}"}}'
    if roles.keep_when or roles.drop_when:
        yield "hard_constraints: # filters; what is unknown is dropped, too"
        kept = [(name, "keep_when", f"not_{name}") for name in roles.keep_when]
        for name, test, called in (*kept, *((name, "drop_when", name) for name in roles.drop_when)):
            yield f"  - {{name: {called[:63]}, {test}: {{column: {_quoted(name)}, equals: true}}}}"
    costs = [task for task in tasks if task.family.costs]
    if costs:
        yield "guardrails: # how much more of a harm is too much"
    for task in costs:
        yield f"  - {{metric: {task.name}_rate, relative_increase_max: 0.1, action: block}}"


def _slate(slug: str, sketch: LogSketch, roles: _Roles) -> Iterator[str]:
    yield "# What a slate may hold."
    yield f"policy: {slug}-slate"
    yield "version: 1"
    yield f"length: {min(sketch.positions, 10) or 10} # slots"
    example = roles.categorical[0] if roles.categorical else "creator"
    yield f"# max_per: {{{example}: 3}} # most slots of one value of a column"


def _listed(name: str, columns: Sequence[str]) -> Iterator[str]:
    if columns:
        yield f"  {name}:"
        yield from (f"    - {_quoted(column)}" for column in columns)


def _quoted(text: str) -> str:
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]*", text) and text.lower() not in {"null", "true", "false"}
    return text if plain else json.dumps(text)  # a string of JSON is one of YAML


def _comment(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)
