"""Why one impression's labels are what they are: from the facts of its row to an explanation of each task.

::

    Facts                  what the label relations hold of the row     (explanation_facts.py reads them)
      -> TaskExplanation   of each task: window, maturity, status and cause, and the events that bear on it
    explanation_text.py writes a task's explanation in sentences
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.labels.maturity import known_at
from tasks.labels.status import Why, amount, conditional_on, credit, known
from tasks.labels.windows import Rule, answers

Json = dict[str, Any]


@dataclass(frozen=True)
class LabelValue:
    """A task's label in the store: value where it is observed, status, instant of the crediting event."""

    value: float | None
    status: str
    at: datetime | None


@dataclass(frozen=True)
class Impression:
    """An impression by its key, and when it was shown."""

    request_id: Any
    item_id: Any
    shown_at: datetime


@dataclass(frozen=True)
class Event:
    """An event in a window.

    ``counts`` says whether the rule counts it: it may only answer, or have too small a value. ``credited_to``
    is another impression that the event is credited to, if any; ``columns`` are those that are not null.
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

    ``some`` of them, earliest first; the ``number`` of all; of these, the number that count and are
    ``credited`` to the impression.
    """

    some: tuple[Event, ...] = ()
    number: int = 0
    credited: int = 0


@dataclass(frozen=True)
class Facts:
    """What the label relations hold of one impression: its row of the last layer, and labels by task.

    ``causes`` are those that hold, in the order in which they apply; ``exclusions`` are by task and rule;
    ``duplicates`` are the instants of other impressions with its key, which are in quarantine.
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
    why, of : the kind of the first cause that holds, and its part, column, parent or exclusion.
    opens, closes : the window; None for a composite, for a child whose parent has no crediting event, and
        where the deadline lies outside it.
    deadline : the impression's own end of the window.
    crediting : the event that makes it positive, whatever the status.
    events : the events in the window, credited or not.
    observing : the event that answers, where the task is observed by one.
    seen : the impression's value in the column that the task is observed by.
    excluding : the first exclusion event in the window, whether or not it excluded the row.
    parent : the task that must be observed and 1, and its label.
    parts : of a composite: the known value of each part, None where it is not known, and the part's label.
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
        """The events in the window that count and are credited to another impression."""
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
    """Return the tasks whose label in the store differs from the one that the log gives now."""
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
    """Return where the window of an impression opens and closes, None where it has none."""
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
    """Return the first event of the exclusion that excluded the row, else of any."""
    these = exclusions if number is None else [exclusions[int(number)]]
    return min((e for out in these for e in out.some[:1]), key=lambda event: event.at, default=None)


def _label_json(label: LabelValue) -> Json:
    return {"value": label.value, "status": label.status}
