"""Reasons for one impression's labels: from the facts about its row to an explanation per task.

::

    Facts                  the row's values in the label relations      (read from the relations)
      -> TaskExplanation   per task: window, maturity, status and cause, and the relevant events
    explanation_text.py formats a task's explanation as sentences

The relations are those of a build over the days around the impression, so the facts equal those that a build
at the same instant would store.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.labels import windows as w
from tasks.labels.query import Horizon, LabelQuery
from tasks.labels.status import Why, amount, causes, conditional_on, credit, known
from tasks.labels.windows import Rule, answers, known_at
from tasks.logs import rows
from tasks.logs.tables import Log, LogTables
from tasks.sql import expressions as x

Json = dict[str, Any]


@dataclass(frozen=True)
class LabelValue:
    """A task's stored label: value if observed, status, instant of the crediting event."""

    value: float | None
    status: str
    at: datetime | None


@dataclass(frozen=True)
class Impression:
    """An impression: its key and the instant at which it was shown."""

    request_id: Any
    item_id: Any
    shown_at: datetime


@dataclass(frozen=True)
class Event:
    """An event in a window.

    ``counts``: whether the rule counts the event; it may only be an answer, or have too small a value.
    ``credited_to`` is another impression that the event is credited to; ``columns`` are the non-null ones.
    """

    name: str
    at: datetime
    value: float | None = None
    arrived: datetime | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    counts: bool = True
    credited_to: Impression | None = None

    def to_json(self) -> Json:
        """Return plain JSON."""
        to = self.credited_to
        return {
            "event": self.name,
            "happened_at": instant(self.at),
            "value": self.value,
            "ingested_at": instant(self.arrived),
            "columns": {name: plain(value) for name, value in self.columns.items()},
            "counts": self.counts,
            "credited_to": to and {**vars(to), "shown_at": instant(to.shown_at)},
        }


@dataclass(frozen=True)
class Events:
    """Events in a window.

    ``some``: the earliest events. ``number``: the number of all events. ``credited``: the number of events
    that count and are credited to the impression.
    """

    some: tuple[Event, ...] = ()
    number: int = 0
    credited: int = 0


@dataclass(frozen=True)
class Facts:
    """The values of one impression in the label relations: its row of the last layer, and labels by task.

    ``causes`` are the matching ones in order of precedence; ``exclusions`` are by task and rule;
    ``duplicates`` are instants of quarantined impressions with the same key.
    """

    row: Mapping[str, Any]
    labels: Mapping[str, LabelValue]
    causes: Mapping[str, Sequence[tuple[str, Why, str]]]
    events: Mapping[str, Events]
    exclusions: Mapping[str, Sequence[Events]]
    duplicates: Sequence[datetime] = ()


@dataclass(frozen=True)
class TaskExplanation:
    """The label of one task of an impression, and the reasons for it.

    Attributes
    ----------
    why, of : kind of the first matching cause, and its component, column, parent or exclusion.
    opens, closes : the window; None for a composite, for a child whose parent has no crediting event, and
        for a deadline outside the window.
    deadline : end of the window from the impression's own column.
    crediting : the event that makes the impression positive, whatever the status.
    events : all events in the window.
    observing : the answer, for a task observed by an event.
    seen : the impression's value in the column that the task is observed by.
    excluding : the first exclusion event in the window, whether or not it excluded the row.
    parent : the task that must be observed and 1, and its label.
    parts : for a composite, the value of each component (None if unknown) and its label.
    """

    label: LabelValue
    matures_at: datetime
    why: Why | None = None
    of: str = ""
    opens: datetime | None = None
    closes: datetime | None = None
    deadline: datetime | None = None
    crediting: Event | None = None
    events: Events = Events()
    amount: float | None = None
    observing: Event | None = None
    seen: Any = None
    excluding: Event | None = None
    parent: tuple[str, LabelValue] | None = None
    parts: Mapping[str, tuple[float | None, LabelValue]] = field(default_factory=dict)

    @property
    def elsewhere(self) -> tuple[Event, ...]:
        """Events in the window that count and are credited to another impression."""
        return tuple(event for event in self.events.some if event.counts and event.credited_to)

    def to_json(self) -> Json:
        """Return plain JSON, instants in ISO 8601."""
        window = {"opens": instant(self.opens), "closes": instant(self.closes)} if self.opens else None
        return {
            "value": self.label.value,
            "status": self.label.status,
            "cause": {"kind": str(self.why), "of": self.of} if self.why else None,
            "window": window,
            "matures_at": instant(self.matures_at),
            "crediting": self.crediting and self.crediting.to_json(),
            "excluding": self.excluding and self.excluding.to_json(),
            "seen": None if self.seen is None else plain(self.seen),
            "observing": self.observing and self.observing.to_json(),
            "credited_elsewhere": [event.to_json() for event in self.elsewhere],
            "events_in_window": self.events.number,
            "events_credited": self.events.credited,
            "amount": self.amount,
            "parent": self.parent and {"task": self.parent[0], **_label_json(self.parent[1])},
            "parts": {
                part: {"known": value, **_label_json(own)} for part, (value, own) in self.parts.items()
            },
        }


def explain_tasks(tasks: TasksSpec, facts: Facts) -> dict[str, TaskExplanation]:
    """Explain every task, in declared order."""
    return {task: _explain_task(tasks, task, facts) for task in tasks.tasks}


def list_changed_tasks(stored: Mapping[str, LabelValue], now: Mapping[str, LabelValue]) -> list[str]:
    """Return the tasks whose stored label differs from the one computed from the current log."""
    return [task for task, label in now.items() if task in stored and stored[task] != label]


def instant(at: datetime | None) -> str | None:
    """Return an instant in ISO 8601, UTC.

    Examples
    --------
    >>> from datetime import UTC
    >>> instant(datetime(2026, 3, 2, 9, tzinfo=UTC))
    '2026-03-02T09:00:00Z'
    """
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def plain(value: Any) -> Any:
    """Return a column's value as plain JSON."""
    if isinstance(value, datetime):
        return instant(value)
    return value if isinstance(value, str | int | float | bool) else str(value)


def _window(rule: Rule, row: Mapping[str, Any]) -> tuple[datetime | None, datetime | None]:
    """Return where the window of an impression opens and closes; None without a window."""
    opens: datetime | None = row[credit(rule.after)] if rule.after else row[c.SHOWN_AT]
    if opens is None:
        return None, None
    latest = opens + rule.within
    closes: datetime | None = row[rule.until] if rule.until else latest
    return (opens, closes) if closes is not None and opens < closes <= latest else (None, None)


def _explain_task(tasks: TasksSpec, task: str, facts: Facts) -> TaskExplanation:
    spec, row, label = tasks.tasks[task], facts.row, facts.labels[task]
    _, why, of = next(iter(facts.causes[task]), (None, None, ""))
    parent, matures_at = conditional_on(spec), known_at(tasks, task, row)
    if spec.rule is None:
        parts = {part: (row[known(part)], facts.labels[part]) for part in tasks.parts(task)}
        return TaskExplanation(label, matures_at, why, of, parts=parts)
    opens, closes = _window(spec.rule, row)
    events, by, answering = facts.events[task], spec.observed_when, answers(tasks, task)
    return TaskExplanation(
        label,
        matures_at,
        why,
        of,
        opens=opens,
        closes=closes,
        deadline=row[spec.rule.until] if spec.rule.until else None,
        crediting=_crediting(events, row[credit(task)]) if spec.positive else None,
        events=events,
        amount=row[amount(task)] if spec.value else None,
        observing=next((e for e in _own(events) if e.name in answering), None),
        seen=row[by.column] if by and by.column else None,
        excluding=_excluding(facts.exclusions[task], of if why is Why.EXCLUSION else None),
        parent=(parent, facts.labels[parent]) if parent else None,
    )


def _own(events: Events) -> Iterator[Event]:
    return (event for event in events.some if event.credited_to is None)


def _crediting(events: Events, at: datetime | None) -> Event | None:
    return next((e for e in _own(events) if e.counts and e.at == at), None)


def _excluding(exclusions: Sequence[Events], number: str | None) -> Event | None:
    """Return the first event of the exclusion that excluded the row, else of any exclusion."""
    these = exclusions if number is None else [exclusions[int(number)]]
    return min((e for out in these for e in out.some[:1]), key=lambda event: event.at, default=None)


def _label_json(label: LabelValue) -> Json:
    return {"value": label.value, "status": label.status}


EXPLAINED = "explained"
MINE = "_mine"
_TOUCHED = "_touched"

Key = Mapping[str, Any]
"""The impression's key by column."""

MOST = 20
"""Number of events of a window that are read individually; further events are counted."""

_SOME_EVENTS = """
    SELECT *, count(*) OVER () AS _number, count(*) FILTER ($own) OVER () AS _credited
    FROM ($events) ORDER BY ($own AND $at = $crediting) DESC NULLS LAST, $at, $rest LIMIT $most
"""


def why_column(task: str, number: int) -> str:
    """Return the column that contains whether a task's n-th cause holds."""
    return f"{task}__why_{number}"


def credited_column(column: str) -> str:
    """Return the column that contains this column of the impression to which an event is credited."""
    return f"_to_{column}"


def of_key(key: Key, table: str | None = None) -> exp.Expr:
    """Condition that a row has the key."""
    return x.all_of(*(x.eq(x.column(name, table), _literal(value)) for name, value in key.items()))


def explained_row(tasks: TasksSpec, query: LabelQuery, key: Key, arrived: x.AsOf) -> exp.Select:
    """Return the impression's row of the last layer, with every cause of every task."""
    columns = [
        x.alias(cause.holds, why_column(task, n))
        for task in tasks.tasks
        for n, cause in enumerate(causes(tasks, task, arrived))
    ]
    row = x.select([exp.Star(), *columns], x.table(query.last_layer), where=[of_key(key)])
    return x.with_relations(row, query.layers.items())


def events_in_window(tasks: TasksSpec, task: str, key: Key, as_of: x.AsOf, *, log: Log) -> exp.Select:
    """Return the known events in a task's window; requires ``explained`` and the task's own relations."""
    rule = w.event_rule(tasks, task)
    names = (*rule.event, *w.answers(tasks, task))
    signals = _known(log, as_of, names, [x.alias(w.counts(rule), w.COUNTS)])
    wanted = [*x.columns((*log.events, w.COUNTS), w.SIGNALS)]
    joins: list[x.Join] = [(_window_query(rule, rule.match), w.inside(rule, rule.match))]
    if rule.credit == "every":
        wanted.append(x.alias(exp.true(), MINE))
    else:
        winner = {k: x.column(k, w.WINDOWS if k in rule.match else _TOUCHED) for k in c.IMPRESSION_KEY}
        won = x.all_of(*(x.eq(of.copy(), x.column(k, rows.SHOWN)) for k, of in winner.items()))
        instant = (*rule.match, c.HAPPENED_AT)
        joins += [(x.table(w.touched(task), _TOUCHED), x.eq_columns(instant, w.SIGNALS, _TOUCHED))]
        joins += [(x.table(rows.SHOWN), won)]
        wanted.append(x.alias(of_key(key, rows.SHOWN), MINE))
        of_winner = (*c.IMPRESSION_KEY, c.SHOWN_AT)
        wanted += [x.alias(x.column(name, rows.SHOWN), credited_column(name)) for name in of_winner]
    return x.select(wanted, x.subquery(signals, w.SIGNALS), joins=joins)


def exclusions_in_window(tasks: TasksSpec, task: str, number: int, as_of: x.AsOf, *, log: Log) -> exp.Select:
    """Return the known events of a task's n-th exclusion in its window; requires ``explained``."""
    rule, out = w.event_rule(tasks, task), tasks.tasks[task].exclude[number]
    signals = _known(log, as_of, out.event, [])
    joins: list[x.Join] = [(_window_query(rule, out.on), w.inside(rule, out.on))]
    wanted = [*x.columns(log.events, w.SIGNALS), x.alias(exp.true(), w.COUNTS), x.alias(exp.true(), MINE)]
    return x.select(wanted, x.subquery(signals, w.SIGNALS), joins=joins)


def _known(log: Log, as_of: x.AsOf, events: Sequence[str], more: Sequence[exp.Expr]) -> exp.Select:
    known = rows.known_events(as_of, log.events, list(dict.fromkeys(events)), wanted=log.events)
    return x.select([*x.columns(log.events), *more], x.subquery(known, rows.KNOWN))


def _window_query(rule: w.Rule, match: Sequence[str]) -> exp.Subquery:
    """Return the impression's window: its match columns and its start, which may be null."""
    opens = x.column(credit(rule.after) if rule.after else c.SHOWN_AT)
    keys = [name for name in c.IMPRESSION_KEY if name not in match]
    columns = [*x.columns((*match, *keys)), x.alias(opens, w.OPENS), *w.ends(rule, opens.copy())]
    return x.subquery(x.select(columns, x.table(EXPLAINED)), w.WINDOWS)


def _literal(value: Any) -> exp.Expr:
    return x.integer(value) if isinstance(value, int) else x.text(value)


def read_facts(log: LogTables, query: LabelQuery, key: Key, *, horizon: Horizon) -> Facts | None:
    """Read the facts about one impression from the relations; None if the log does not contain it.

    Requires the relations of the query: see ``make_relations``.
    """
    tasks, as_of = log.contracts.tasks, horizon.as_of
    log.create(EXPLAINED, explained_row(tasks, query, key, horizon.arrived))
    labels = x.select([exp.Star()], x.subquery(query.labels(), "labels"), where=[of_key(key)])
    labelled = _rows(log, "$labels", labels=labels)
    if not labelled:
        return None
    (row,) = _rows(log, "FROM $explained", explained=x.table(EXPLAINED))
    with_rule = [task for task in tasks.order() if tasks.tasks[task].rule]
    queries = {task: events_in_window(tasks, task, key, as_of, log=log.log) for task in with_rule}
    return Facts(
        row=row,
        labels={
            t: LabelValue(*(labelled[0][name] for name in (t, c.status(t), c.at(t)))) for t in tasks.tasks
        },
        causes={task: _causes(tasks, task, row) for task in tasks.tasks},
        events={task: _events(log, query, row.get(credit(task))) for task, query in queries.items()},
        exclusions={task: _exclusions(log, task, as_of) for task in with_rule},
        duplicates=_duplicates(log, key),
    )


def _causes(tasks: TasksSpec, task: str, row: Mapping[str, Any]) -> list[tuple[str, Why, str]]:
    possible = enumerate(causes(tasks, task, None))
    return [(cause.status, cause.why, cause.of) for n, cause in possible if row[why_column(task, n)]]


def _duplicates(log: LogTables, key: Key) -> tuple[datetime, ...]:
    query = x.select(
        [x.column(c.SHOWN_AT), x.column(rows.PLACE)], x.table(rows.DUPLICATES), where=[of_key(key)]
    )
    others = _rows(
        log,
        "FROM ($duplicates) WHERE $place > 1 ORDER BY $place",
        duplicates=query,
        place=x.column(rows.PLACE),
    )
    return tuple(row[c.SHOWN_AT] for row in others)


def _exclusions(log: LogTables, task: str, as_of: x.AsOf) -> list[Events]:
    tasks = log.contracts.tasks
    return [
        _events(log, exclusions_in_window(tasks, task, k, as_of, log=log.log), None)
        for k in range(len(tasks.tasks[task].exclude))
    ]


def _events(log: LogTables, events: exp.Query, crediting: datetime | None) -> Events:
    read = _rows(
        log,
        _SOME_EVENTS,
        events=events,
        own=x.all_of(x.column(w.COUNTS), x.column(MINE)),
        at=x.column(c.HAPPENED_AT),
        crediting=x.instant(crediting) if crediting else exp.Null(),
        rest=x.columns(log.log.events),
        most=x.integer(MOST),
    )
    if not read:
        return Events()
    some = sorted((_event(row) for row in read), key=lambda event: event.at)
    return Events(tuple(some), read[0]["_number"], read[0]["_credited"])


def _event(row: Mapping[str, Any]) -> Event:
    own = {c.EVENT, c.HAPPENED_AT, c.VALUE, c.INGESTED_AT}
    elsewhere = None
    if not row[MINE]:
        elsewhere = Impression(*(row[credited_column(name)] for name in (*c.IMPRESSION_KEY, c.SHOWN_AT)))
    columns = {
        name: value
        for name, value in row.items()
        if name not in own and not name.startswith("_") and value is not None
    }
    return Event(
        name=row[c.EVENT],
        at=row[c.HAPPENED_AT],
        value=row.get(c.VALUE),
        arrived=row.get(c.INGESTED_AT),
        columns=columns,
        counts=row[w.COUNTS],
        credited_to=elsewhere,
    )


def _rows(log: LogTables, template: str, **parts: x.Part) -> list[dict[str, Any]]:
    return log.connection.sql(x.fill(template, **parts)).to_arrow_table().to_pylist()
