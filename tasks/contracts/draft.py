"""First draft of a surface's four files from a sketch of its log: valid, commented, meant to be edited.

::

    click          engagement, within PT30M         purchase       conversion, last_touch
    hide, report   negative, safety: costs          out_of_stock   excludes the row

A window covers 90 % of the events' delays if the log has enough days.

Decisions that a person has to make (approvers, weights, acceptable harm) are guesses, marked by a comment.
With a starting surface, its tasks, weights, primaries and guardrails are taken over under the log's own
names.
"""

import json
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

from tasks import columns as c
from tasks.contracts.load import Contracts
from tasks.contracts.log_sketch import ColumnSketch, EventSketch, LogSketch
from tasks.contracts.metrics import OF_COLUMNS, OF_EXPOSURE, Metric, MetricKind, read_metric
from tasks.contracts.tasks import Family, TaskSpec
from tasks.contracts.utility import BOUNDS, Guardrail
from tasks.errors import DataError

FEWEST: Final = 100
"""Minimum number of events for a task of a first draft."""
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
"""Train, calibrate, test and minimum train days; the first split that fits the log is used."""
_WINDOWS: Final = (7, 3, 1)
"""Maximum window of a task in days; the first that leaves enough days for one of the splits is used."""
_SHORT_LOG: Final = (0.25, (2, 1, 1, 1))
"""Window and split of a log that is too short for all of these."""


@dataclass(frozen=True)
class TaskDraft:
    """A task of a first draft, with the event that it was guessed from.

    ``days`` is the length of the window; ``delay`` as in `EventSketch`. ``match`` names the columns that join
    an event to its impression; it is empty for the default columns.
    """

    name: str
    family: Family
    event: str
    within: str
    days: float
    rows: int
    match: tuple[str, ...] = ()
    trained: bool = True
    delay: float = 0.0


@dataclass(frozen=True)
class TasksDraft:
    """Tasks, events that exclude rows (with ``item`` or ``user``), and omitted events with reasons."""

    tasks: tuple[TaskDraft, ...]
    exclusions: tuple[tuple[str, str], ...]
    left_out: tuple[tuple[str, str], ...]


def draft_tasks(
    events: Sequence[EventSketch],
    *,
    window_days: float,
    impression: str = "",
    wanted: Mapping[str, TaskSpec] | None = None,
) -> TasksDraft:
    """Guess a task for each event that could be an outcome, the most frequent first.

    With ``wanted``, only these events become tasks, with the family and the ``train`` setting of the given
    task.
    """
    tasks: list[TaskDraft] = []
    exclusions: list[tuple[str, str]] = []
    left_out: list[tuple[str, str]] = []
    for event in sorted(events, key=lambda one: (-one.rows, one.name)):
        lower = event.name.lower()
        if not _EVENT_NAME.fullmatch(event.name):
            left_out.append((repr(event.name), "is no name of letters, digits, dots and underscores"))
        elif _OUT_ITEM.search(lower) or _OUT_USER.search(lower):
            exclusions.append((event.name, "item" if _OUT_ITEM.search(lower) else "user"))
        elif wanted is not None and event.name not in wanted:
            left_out.append((event.name, "is no outcome of the surface that this draft started from"))
        elif reason := _why_left_out(
            event, taken=len(tasks), rare=wanted is not None and not wanted[event.name].train
        ):
            left_out.append((event.name, reason))
        else:
            match = _match(event, impression)
            task = _draft(event, window_days, match, taken=[task.name for task in tasks])
            like = None if wanted is None else wanted[event.name]
            tasks.append(task if like is None else replace(task, family=like.family, trained=like.train))
    return TasksDraft(tuple(tasks), tuple(exclusions), tuple(left_out))


def _why_left_out(event: EventSketch, *, taken: int, rare: bool) -> str:
    lower = event.name.lower()
    if _SHOWN.search(lower):
        return "seems to record that an item was shown, which the impressions record"
    if _AFTER.search(lower):
        return "seems to follow another outcome: give it `after:` with that task, and a window of its own"
    if event.with_item < _HALF:
        return "names no item: a task on it needs another `match`, and `level: request`"
    if event.rows < FEWEST and not rare:
        return f"happened {event.rows} times, which is too few to learn from"
    return "comes after the most frequent ones" if taken >= _MOST else ""


def _match(event: EventSketch, impression: str) -> tuple[str, ...]:
    if impression and event.with_impression >= _NEARLY_ALL * event.with_item:
        return (impression,)
    return (c.REQUEST_ID, c.ITEM_ID) if event.with_request >= _NEARLY_ALL else ()


def _find_meaning(event: str) -> tuple[re.Pattern[str], Family, str] | None:
    return next((meaning for meaning in _MEANINGS if meaning[0].search(event.lower())), None)


def _draft(
    event: EventSketch, window_days: float, match: tuple[str, ...], *, taken: Iterable[str]
) -> TaskDraft:
    lower = event.name.lower()
    _, family, window = _find_meaning(event.name) or (None, Family.ENGAGEMENT, "day")
    days = _HALF_AN_HOUR if window == "short" else min(1, window_days) if window == "day" else window_days
    if event.delay > days:
        days = min(window_days, next((one for one in sorted(_WINDOWS) if one >= event.delay), window_days))
    number, unit = (round(days), "D") if days >= 1 else (round(days * 24), "H")
    within, suffix = f"P{'T' * (unit == 'H')}{number}{unit}", f"{number}{unit.lower()}"
    if days == _HALF_AN_HOUR:
        within, suffix = "PT30M", "30m"
    stem = re.sub(r"_+", "_", re.sub(r"[^a-z0-9]", "_", lower)).strip("_")[:50]
    name = f"{stem}_{suffix}"
    while name in taken:
        name += "x"
    return TaskDraft(name, family, event.name, within, days, event.rows, match, delay=event.delay)


@dataclass(frozen=True)
class _Roles:
    """The roles that the described columns are assigned to."""

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    segments: tuple[str, ...]
    keep_when: tuple[str, ...]
    drop_when: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Start:
    """The surface that a draft starts from, with the log's event for each of its tasks."""

    contracts: Contracts
    events: Mapping[str, str]

    @classmethod
    def find(cls, contracts: Contracts, events: Sequence[EventSketch]) -> "_Start":
        """Find each task's event: of the same name, else the most frequent one of the same meaning."""
        frequent = [event.name for event in sorted(events, key=lambda one: (-one.rows, one.name))]
        found: dict[str, str] = {}
        for task, spec in contracts.tasks.tasks.items():
            own = spec.positive.event if spec.positive is not None else ()
            meant = {meaning[0] for name in own if (meaning := _find_meaning(name))}
            alike = [name for name in frequent if (m := _find_meaning(name)) and m[0] in meant]
            free = [n for n in (*(n for n in frequent if n in own), *alike) if n not in found.values()]
            found |= {task: free[0]} if free else {}
        return cls(contracts, found)

    @property
    def wanted(self) -> dict[str, TaskSpec]:
        """Each event of the log with its task."""
        return {event: self.contracts.tasks.tasks[task] for task, event in self.events.items()}

    def names(self, tasks: Iterable[TaskDraft]) -> dict[str, str]:
        """Return the draft's name of each task whose event the log contains."""
        drafted = {task.event: task.name for task in tasks}
        return {task: drafted[event] for task, event in self.events.items() if event in drafted}


def _rename(metric: str, names: Mapping[str, str], exposed: Collection[str] | None) -> str | None:
    """Rename a metric of another surface for a draft; None if the log lacks the columns that it reads."""
    of = read_metric(metric)
    if of.kind in OF_EXPOSURE and exposed is None:  # no candidates are logged
        return None
    if of.kind in OF_COLUMNS:
        return metric if of.subject in (exposed or ()) else None
    if of.kind is MetricKind.NEW_ITEM_EXPOSURE:  # a draft declares no segment of the items' age
        return None
    read = {"subject": of.subject, "value": of.value}
    if any(task is not None and task not in names for task in read.values()):
        return None
    own = {key: None if task is None else names[task] for key, task in read.items()}
    return Metric(of.kind, **own).name


def draft_contracts(
    surface: str, sketch: LogSketch, *, owner: str, start: Contracts | None = None
) -> dict[str, str]:
    """Write the four files of a surface, optionally with the outcomes and limits of another surface.

    Returns
    -------
    Name of the file -> its text.
    """
    window, _ = _fit_days(sketch.days, _WINDOWS)
    begun = None if start is None else _Start.find(start, sketch.events)
    wanted = None if begun is None else begun.wanted
    drafted = draft_tasks(sketch.events, window_days=window, impression=sketch.impression, wanted=wanted)
    if not drafted.tasks:
        known = ", ".join(f"{name} ({why})" for name, why in drafted.left_out) or "none"
        raise DataError(f"No event of the log could be an outcome. Events: {known}")
    _, split = _fit_days(sketch.days, [max(task.days for task in drafted.tasks)])
    split_by = () if start is None else [segment.name for segment in start.surface.segments]
    roles = _find_roles(sketch, drafted.tasks, first=split_by)
    if not roles.numeric and not roles.categorical:
        known = ", ".join(f"{name} ({why})" for name, why in roles.left_out) or "none"
        raise DataError(
            f"No column of the impressions could be a feature. Columns other than the keys: {known}"
        )
    slug = surface.lower().replace("_", "-")
    texts = {
        "surface": [*_heading(surface, sketch, owner), *_surface(sketch, roles, split, drafted.tasks, begun)],
        "tasks": _tasks(slug, sketch, drafted),
        "utility": [*_utility(slug, owner, sketch, roles, drafted.tasks, begun)],
        "slate": _slate(slug, sketch, roles),
    }
    return {f"{name}.yaml": "\n".join(lines) + "\n" for name, lines in texts.items()}


def _fit_days(days: int, windows: Sequence[float]) -> tuple[float, tuple[int, int, int, int]]:
    """Return the first window and split that fit a log of the given number of days.

    A window uses up whole days three times: before calibration, before the test and before the end of the
    log.
    """
    for window, split in product(windows, _SPLITS):
        _, calibrate, test, least = split
        if least + calibrate + test + 3 * math.ceil(window) <= days:
            return window, split
    return _SHORT_LOG


def _find_roles(sketch: LogSketch, tasks: Sequence[TaskDraft], *, first: Collection[str]) -> _Roles:
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
    segments = sorted(few, key=lambda one: (one.name not in first, one.name != c.SOURCE, one.distinct))[:2]
    return _Roles(
        numeric=tuple(numeric),
        categorical=tuple(categorical),
        segments=tuple(one.name for one in segments),
        keep_when=tuple(keep),
        drop_when=tuple(drop),
        left_out=tuple(left_out),
    )


def _why_no_feature(column: ColumnSketch, rows: int, outcomes: set[str]) -> str:
    """Explain why a column cannot be a model input, or return an empty string."""
    name, text = column.name.lower(), column.kind == "string"
    reasons = {
        "needs another name, by `columns:`": not _NAME.fullmatch(column.name) or "__" in name,
        "is known only after ranking, or about it": name in _KEPT or name.startswith("served_"),
        "looks like an outcome: a feature must be known before the item is shown": (
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
    yield f"owner: {owner} # who is responsible for it"
    yield f"reviewers: {{product: [{owner}]}} # role: users who may approve for it"
    yield "promotion: # for a single user; without it a promotion needs the reviewers"
    yield "  approvals_on_command_line: true # the user of `equipoise promote` approves alone"
    yield "sources: # below the logs folder (EQUIPOISE_LOGS, else .equipoise/logs)"
    yield from (f"  {table}: {_quoted(source)}" for table, source in sketch.sources.items())
    if "candidates" not in sketch.sources:
        yield "# without logged candidates a replay only reorders what was shown, and every release is held"
        yield "shown_is_all: false # true: every candidate of a request was shown, as on a mailer's page"
    if sketch.columns:
        yield "columns: # our name: the log's"
        yield from (
            f"  {name_here}: {_quoted(name_in_log)}" for name_here, name_in_log in sketch.columns.items()
        )


def _surface(
    sketch: LogSketch,
    roles: _Roles,
    split: tuple[int, int, int, int],
    tasks: Sequence[TaskDraft],
    start: _Start | None,
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
    positives = max(20, min(200, min((task.rows for task in tasks if task.trained), default=0) // 10))
    yield f"minimum: {{train: P{least}D, positives: {positives}}} # less cannot be trained on"
    if start is not None and (critical := start.contracts.surface.monitor.critical):
        names = start.names(tasks)
        kept = [
            names.get(one, one) for one in critical if one in names or one not in start.contracts.tasks.tasks
        ]
        yield f"monitor: {{critical: [{', '.join(kept)}]}} # alarms that fail a run"
    by_segment = start is not None and start.contracts.surface.gates.calibration.by and roles.segments
    if by_segment or not sketch.positions:
        yield "gates:"
    if by_segment:
        yield f"  calibration: {{by: [{', '.join(map(_quoted, roles.segments))}]}}"
    if not sketch.positions:
        yield "  decision: # no position is logged, so a first release is compared with a column's order"
        yield f"    first: {{column: {_quoted(_baseline(roles))}}}"
    yield "# base_rates: {TASK: [0.001, 0.1]} # plausible rates: others stop a run"


def _examination(sketch: LogSketch) -> Iterator[str]:
    if not sketch.positions:
        return
    curve = ", ".join(f"{1 / (1 + 0.1 * place):.2f}" for place in range(min(sketch.positions, 50)))
    yield "examination: # a guess: the share of users who examine each position"
    yield f"  by_position: [{curve}]"


def _baseline(roles: _Roles) -> str:
    popular = [name for name in roles.numeric if _POPULAR.search(name)]
    if not roles.numeric:
        raise DataError(
            "The log has no position and no numeric column, so a first release has no order to be compared "
            "with. Log the position"
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
        come = f", nine of ten within {_spell(task.delay)} of the impression" if task.delay else ""
        yield f"  {task.name}: # {task.rows:,} events in the log{come}"
        costs = " # it costs" if task.family.costs else ""
        yield f"    family: {task.family.value}{costs}"
        if not task.trained:
            yield "    train: false # measured and bounded alone"
        touch = ", credit: last_touch" if task.family is Family.CONVERSION else ""
        match = f", match: [{', '.join(map(_quoted, task.match))}]" if task.match else ""
        yield f"    positive: {{event: {_quoted(task.event)}, within: {task.within}{touch}{match}}}"
        if sketch.has_visible and task.family is Family.ENGAGEMENT:
            yield f"    observed_when: {{column: {c.VISIBLE}}} # what was never on the screen is no negative"
        if excluding and task.family is Family.CONVERSION:
            yield f"    exclude: [{', '.join(excluding)}] # such a row is no negative"
    yield from (f"  # left out: {_comment(name)} {why}" for name, why in drafted.left_out)


def _utility(
    slug: str,
    owner: str,
    sketch: LogSketch,
    roles: _Roles,
    tasks: Sequence[TaskDraft],
    start: _Start | None,
) -> Iterator[str]:
    yield "# What an impression is worth: the sum of weight x calibrated probability. These weights are"
    yield "# placeholders: set the relative value of each outcome, and have `approvals` review them."
    yield f"policy: {slug}-utility"
    yield "version: 1"
    yield f"owner: {owner}"
    yield "approvals: [product]"
    yield "weights:"
    yield from _placeholders(tasks) if start is None else _weights_of(start, tasks)
    if roles.keep_when or roles.drop_when:
        yield "hard_constraints: # filters; what is unknown is dropped, too"
        kept = [(name, "keep_when", f"not_{name}") for name in roles.keep_when]
        for name, test, called in (*kept, *((name, "drop_when", name) for name in roles.drop_when)):
            yield f"  - {{name: {called[:63]}, {test}: {{column: {_quoted(name)}, equals: true}}}}"
    if start is not None:
        exposed = roles.categorical if "candidates" in sketch.sources else None
        yield from _limits_of(start, roles.segments, exposed, start.names(tasks))
    elif costs := [task for task in tasks if task.family.costs]:
        yield "guardrails: # how much more of a harm is too much"
        yield from (
            f"  - {{metric: {task.name}_rate, relative_increase_max: 0.1, action: block}}" for task in costs
        )


def _placeholders(tasks: Iterable[TaskDraft]) -> Iterator[str]:
    for task in tasks:
        why = f"a placeholder for {task.family.value}"
        yield f'  {task.name}: {{weight: {_WORTH[task.family]}, why: "{why}"}}'


def _weights_of(start: _Start, tasks: Iterable[TaskDraft]) -> Iterator[str]:
    name, names, weights = start.contracts.name, start.names(tasks), start.contracts.utility.weights
    if weights.keys().isdisjoint(names):
        raise DataError(
            f"The log has no outcome that has a weight in {name}: {', '.join(weights)}. "
            f"Leave out --from {name}"
        )
    for task, weight in weights.items():
        if task in names:
            why = json.dumps(weight.why or f"as in {name}")
            yield f"  {names[task]}: {{weight: {weight.weight:g}, why: {why}}}"


def _limits_of(
    start: _Start, segments: Sequence[str], exposed: Collection[str] | None, names: Mapping[str, str]
) -> Iterator[str]:
    """Yield the primaries and guardrails whose metrics the log can measure."""
    utility = start.contracts.utility
    for key, limits in (("primary", utility.primary), ("guardrails", utility.guardrails)):
        rows = [(one, _rename(one.metric, names, exposed)) for one in limits]
        kept = [(one, metric) for one, metric in rows if metric is not None]
        yield from [f"{key}: # of {start.contracts.name}"] if kept else []
        for one, metric in kept:
            bounds = one.model_dump(include={*BOUNDS}, exclude_none=True)
            by = f", by: [{', '.join(map(_quoted, segments))}]"
            split = by if isinstance(one, Guardrail) and one.by and segments else ""
            written = "".join(f", {bound}: {limit:g}" for bound, limit in bounds.items())
            action = f", action: {one.action}" if isinstance(one, Guardrail) else ""
            yield f"  - {{metric: {_quoted(metric)}{split}{written}{action}}}"


def _slate(slug: str, sketch: LogSketch, roles: _Roles) -> Iterator[str]:
    yield "# What a slate may hold."
    yield f"policy: {slug}-slate"
    yield "version: 1"
    yield f"length: {min(sketch.positions, 10) or 10} # slots"
    example = roles.categorical[0] if roles.categorical else "creator"
    yield f"# max_per: {{{example}: 3}} # most slots of one value of a column"


def _spell(days: float) -> str:
    """Write a length of time in a suitable unit."""
    lengths = ((days, "days"), (days * 24, "hours"), (days * 1440, "minutes"))
    length, unit = next((one for one in lengths if one[0] >= 2), lengths[-1])
    return f"{length:.3g} {unit}"


def _listed(name: str, columns: Sequence[str]) -> Iterator[str]:
    if columns:
        yield f"  {name}:"
        yield from (f"    - {_quoted(column)}" for column in columns)


def _quoted(text: str) -> str:
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]*", text) and text.lower() not in {"null", "true", "false"}
    return text if plain else json.dumps(text)  # a JSON string is also a YAML string


def _comment(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)
