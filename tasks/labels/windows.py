"""Windows of labels: their time range for whole chains of tasks, and the events that may count in them.

::

    shown_at |-- window (sum along the chain) --|            events that can count
    shown_at |---------- matures ------------------|         label, parents and components are known
    shown_at |-------- known_at ------|                      earlier, if a deadline column ends a window
     |-- before --| shown_at |-- after --|                   reach: impressions that compete for its events

The first step of crediting, in either form, creates two relations::

    <task>__signals    the events that may count, with the match columns
    windows            of each impression with a window: match columns, ``_opens``,
                       and ``_closes`` if the impression has its own deadline

Names that begin with ``_`` cannot collide with a log's columns: contract identifiers begin with a letter.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.contracts.tasks import Positive, ValueRule
from tasks.logs import rows
from tasks.sql import expressions as x

_NONE = timedelta()


def matures(spec: TasksSpec, task: str) -> timedelta:
    """Return the time after shown_at at which a label and all tasks that it depends on are known."""
    return max(spec.maturity(task), *(matures(spec, other) for other in spec.needs(task)), _NONE)


def label_basis(spec: TasksSpec, task: str) -> dict[str, str | None]:
    """Return the tasks whose events decide when a label is known, each with its deadline column."""
    found: dict[str, str | None] = {}
    for other in spec.needs(task):
        found |= label_basis(spec, other)
    rule = spec.tasks[task].rule
    return found if rule is None else {**found, task: rule.until}


def grace(spec: TasksSpec, task: str) -> timedelta:
    """Return the delay between the end of the window and the maturity of the label."""
    return spec.maturity(task) - spec.window(task)


def known_at(spec: TasksSpec, task: str, row: Mapping[str, Any]) -> datetime:
    """Return the instant at which the label of an impression is known."""
    shown_at: datetime = row[c.SHOWN_AT]
    known = [shown_at]
    for name, until in label_basis(spec, task).items():
        latest = shown_at + spec.maturity(name)
        due: datetime | None = row[until] if until else None
        known.append(latest if due is None else min(latest, due + grace(spec, name)))
    return max(known)


def matures_from(spec: TasksSpec, task: str) -> timedelta:
    """Return the minimum time after shown_at at which a label can be known."""
    fixed = [name for name, until in label_basis(spec, task).items() if until is None]
    return max(map(spec.maturity, fixed), default=_NONE)


def longest_window(spec: TasksSpec) -> timedelta:
    """Return the time after shown_at in which an event can affect any label."""
    return max(spec.window(task) for task in spec.tasks)


@dataclass(frozen=True)
class Reach:
    """Time before and after an impression within which other impressions can compete for its events."""

    before: timedelta
    after: timedelta


def reach(spec: TasksSpec, task: str) -> Reach:
    """Return the reach of impressions that compete for events of this task or of its parents.

    Competing impressions have the same event in their windows, so they lie within one window of each other.
    Last touch prefers the later impression, first touch the earlier one. The distances add up along a chain
    if the window opens at a parent's event that is itself competed for.
    """

    def added(credit: str) -> timedelta:
        links = (link for link in spec.window_chain(task) if _credit(spec, link) == credit)
        return sum((spec.window(link) for link in links), _NONE)

    return Reach(before=added("first_touch"), after=added("last_touch"))


def longest_reach(spec: TasksSpec) -> Reach:
    """Return the maximum reach of all tasks; zero if every task credits every impression."""
    of_tasks = [reach(spec, task) for task in spec.tasks]
    return Reach(max(r.before for r in of_tasks), max(r.after for r in of_tasks))


def credits_alone(spec: TasksSpec, task: str) -> bool:
    """Return whether the credit of one impression affects no other impression's label."""
    below = (link for other in spec.tasks for link in (task, *_after(spec, other, task)))
    return not any(_touch(spec, link) for link in below)


def bearing(spec: TasksSpec, event: str) -> tuple[timedelta, timedelta]:
    """Return how long before an event an affected impression can be, and the reach beyond it.

    An event affects the tasks that read it. If it changes their crediting event, it shifts the windows of the
    tasks after them. Under touch credit this moves credit between neighbouring impressions.
    """
    readers = [task for task in spec.tasks if event in spec.tasks[task].events]
    back = max((spec.window(task) for task in readers), default=_NONE)
    beyond = [
        sum((spec.window(link) for link in _after(spec, task, reader) if _touch(spec, link)), _NONE)
        for task in spec.tasks
        for reader in readers
    ]
    return back, max(beyond, default=_NONE)


def _after(spec: TasksSpec, task: str, reader: str) -> tuple[str, ...]:
    """Return the links of a task's chain after another task; empty if that task is not in the chain."""
    chain = spec.window_chain(task)
    return chain[chain.index(reader) + 1 :] if reader in chain else ()


def _credit(spec: TasksSpec, task: str) -> str | None:
    rule = spec.tasks[task].rule
    return rule.credit if rule else None


def _touch(spec: TasksSpec, task: str) -> bool:
    return _credit(spec, task) not in {None, "every"}


AT, OPENS, CLOSES, ANSWERED, AMOUNT = "_at", "_opens", "_closes", "_answered", "_amount"
COUNTS, ANSWERS = "_counts", "_answers"
WINDOWS, SIGNALS = "_windows", "_signals"
"""Aliases of the two sides of a join."""

ARRIVED = "arrived"
"""Parameter for the instant up to which the log had arrived."""

Rule = Positive | ValueRule


def credited(task: str) -> str:
    """Return the relation of a task's credited events."""
    return f"{task}__credited"


def touched(task: str) -> str:
    """Return the relation of the impressions credited with a task's events; only for touch credit."""
    return f"{task}__touched"


def excluded(task: str, number: int) -> str:
    """Return the relation of a task's exclusion events of one rule."""
    return f"{task}__out_{number}"


def event_rule(spec: TasksSpec, task: str) -> Rule:
    """Return the event rule of a task that is not a composite."""
    rule = spec.tasks[task].rule
    if rule is None:
        raise ValueError(f"{task} is a composite and has no event rule")
    return rule


def answers(spec: TasksSpec, task: str) -> tuple[str, ...]:
    """Return the events that make a task observed; empty if it needs no answer."""
    observed_when = spec.tasks[task].observed_when
    return (observed_when.event or ()) if observed_when else ()


def is_mature(spec: TasksSpec, task: str, arrived: x.AsOf, table: str | None = None) -> exp.Expr:
    """Condition that the label of an impression is known in a log that has arrived up to an instant."""
    basis = label_basis(spec, task)
    fixed = [spec.maturity(name) for name, until in basis.items() if until is None]
    known = [_had_arrived(c.SHOWN_AT, max(fixed), arrived, table)] if fixed else []
    for name, until in basis.items():
        if until is not None:
            passed = x.coalesce(_had_arrived(until, grace(spec, name), arrived, table), exp.false())
            known.append(x.any_of(_had_arrived(c.SHOWN_AT, spec.maturity(name), arrived, table), passed))
    return x.all_of(*known)


def _had_arrived(column: str, after: timedelta, arrived: x.AsOf, table: str | None) -> exp.Expr:
    return x.le(x.column(column, table), x.instant(arrived, minus=after, parameter=ARRIVED))


def counts(rule: Rule) -> exp.Expr:
    """Condition that the rule counts an event; other events are only answers."""
    named = x.one_of(x.column(c.EVENT), rule.event)
    if isinstance(rule, ValueRule):
        return named
    bounds = ((x.ge, rule.value_at_least), (x.lt, rule.value_below))
    within = [to(x.finite(x.column(c.VALUE)), x.number(bound)) for to, bound in bounds if bound is not None]
    return x.all_of(named, *(x.coalesce(inside, exp.false()) for inside in within))


def signals(spec: TasksSpec, task: str) -> exp.Select:
    """Return the events that a task counts or that answer it."""
    rule, answering = event_rule(spec, task), answers(spec, task)
    more = [x.alias(counts(rule), COUNTS)]
    if isinstance(rule, ValueRule):
        more.append(x.alias(x.finite(x.column(c.VALUE)), AMOUNT))
    if answering:
        more.append(x.alias(x.one_of(x.column(c.EVENT), answering), ANSWERS))
    return events(rule.match, dict.fromkeys((*rule.event, *answering)), more)


def events(match: Sequence[str], names: Iterable[str], more: Sequence[exp.Expr] = ()) -> exp.Select:
    """Return the known events with some names that can match an impression."""
    return x.select(
        [*x.columns((*match, c.HAPPENED_AT)), *more],
        x.table(rows.KNOWN),
        where=[x.one_of(x.column(c.EVENT), names), *(x.not_null(x.column(m)) for m in match)],
    )


def opens(rule: Rule) -> exp.Column:
    """Return the start of a window: the impression, or the parent's crediting event."""
    return x.column(AT, credited(rule.after)) if rule.after else x.column(c.SHOWN_AT, rows.SHOWN)


def closes(rule: Rule, opened: exp.Expr, table: str | None = None) -> exp.Expr:
    """Return the exclusive end of a window; null if the impression's deadline lies beyond it."""
    latest = later(opened, rule.within)
    if rule.until is None:
        return latest
    return x.when(x.le(x.column(rule.until, table), latest), x.column(rule.until, table))


def bounds(rule: Rule) -> tuple[str, ...]:
    """Return the columns that distinguish the windows of one match."""
    return (OPENS, CLOSES) if rule.until else (OPENS,)


def ends(rule: Rule, opened: exp.Expr, table: str | None = None) -> list[exp.Expr]:
    """Return the column of a window's own end, if any."""
    return [x.alias(closes(rule, opened, table), CLOSES)] if rule.until else []


def later(instant: exp.Expr, duration: timedelta) -> exp.Expr:
    """Return an instant shifted by a duration."""
    return exp.Add(this=instant, expression=x.interval(duration))


def windows(
    spec: TasksSpec,
    task: str,
    names: Sequence[str],
    *,
    among: str = rows.SHOWN,
    where: Sequence[exp.Expr] = (),
) -> exp.Select:
    """Return columns of each impression of a relation that has a window, and the window's start."""
    rule = event_rule(spec, task)
    opened = [x.not_null(x.column(AT, credited(rule.after)))] if rule.after else []
    return x.select(
        [*x.columns(names, rows.SHOWN), x.alias(opens(rule), OPENS), *ends(rule, opens(rule), rows.SHOWN)],
        x.table(among, rows.SHOWN) if among != rows.SHOWN else x.table(rows.SHOWN),
        joins=credit_joins(spec, rule.after) if rule.after else (),
        where=[*opened, *where],
    )


def with_signals(query: exp.Select, match: Sequence[str], relation: str) -> exp.Select:
    """Filter impressions to those with a signal for their match columns."""
    has_signal = x.exists(x.table(relation, SIGNALS), x.eq_columns(match, SIGNALS, rows.SHOWN))
    before = query.args.get("where")
    query.set("where", exp.Where(this=x.all_of(*([before.this] if before else []), has_signal)))
    return query


def inside(rule: Rule, match: Sequence[str]) -> exp.Expr:
    """Condition that a row of ``_signals`` matches a row of ``_windows`` and lies in it."""
    happened, opened = x.column(c.HAPPENED_AT, SIGNALS), x.column(OPENS, WINDOWS)
    closed = x.column(CLOSES, WINDOWS) if rule.until else closes(rule, opened.copy())
    after_opening = x.gt if rule.after else x.ge
    return x.all_of(
        x.eq_columns(match, SIGNALS, WINDOWS),
        after_opening(happened, opened),
        x.lt(happened.copy(), closed),
    )


def credit_joins(spec: TasksSpec, task: str) -> list[x.Join]:
    """Return the joins from the impressions to a task's credited events, parents first."""
    rule = event_rule(spec, task)
    chain = credit_joins(spec, rule.after) if rule.after else []
    relation = credited(task)
    if rule.credit == "every":
        return [*chain, (x.table(relation), _same_window(rule, rule.match, relation))]
    return [*chain, (x.table(relation), x.eq_columns(c.IMPRESSION_KEY, rows.SHOWN, relation))]


def exclusion_joins(spec: TasksSpec, task: str) -> list[x.Join]:
    """Return the joins from the impressions to each exclusion's first event, after those of the chain."""
    rule = event_rule(spec, task)
    return [
        (x.table(excluded(task, k)), _same_window(rule, out.on, excluded(task, k)))
        for k, out in enumerate(spec.tasks[task].exclude)
    ]


def best_by(*, has_position: bool) -> tuple[str, ...]:
    """Return the columns by which touch credit chooses among impressions."""
    return (c.SHOWN_AT, *((c.POSITION,) if has_position else ()), *c.IMPRESSION_KEY)


def best_first(rule: Rule, table: str, *, has_position: bool) -> list[exp.Expr]:
    """Return sort keys that put the impression preferred by touch credit first."""
    order = x.descending if rule.credit == "last_touch" else x.ascending
    return [order(column) for column in x.columns(best_by(has_position=has_position), table)]


def _same_window(rule: Rule, match: Sequence[str], relation: str) -> exp.Expr:
    same = [x.eq_columns(match, rows.SHOWN, relation), x.eq(x.column(OPENS, relation), opens(rule))]
    if rule.until:
        same.append(x.eq(x.column(CLOSES, relation), closes(rule, opens(rule), rows.SHOWN)))
    return x.all_of(*same)
