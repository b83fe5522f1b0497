"""Queries of an explanation on the label relations: one impression's row, and the events in its windows.

::

    explained    the impression's row of the last layer: facts, statuses, labels, and ``<task>__why_<n>``,
                 whether the n-th of its causes holds
    events       of a task: every known event in the window, whether it counts, and the impression to which
                 it is credited
    exclusions   of a task: every known event of one exclusion rule in the window

Windows, matching, counting and causes are the expressions that labels are compiled from, so an explanation
cannot define them differently.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.labels import windows as w
from tasks.labels.query import LabelQuery
from tasks.labels.status import causes, credit
from tasks.logs import rows
from tasks.logs.schema import Log
from tasks.sql import expressions as x

EXPLAINED = "explained"
MINE = "_mine"
_TOUCHED = "_touched"

Key = Mapping[str, Any]
"""The impression's key by column."""


def why_column(task: str, number: int) -> str:
    """Name the column that says whether a task's n-th cause holds."""
    return f"{task}__why_{number}"


def credited_column(column: str) -> str:
    """Name the column that holds this column of the impression to which an event is credited."""
    return f"_to_{column}"


def of_key(key: Key, table: str | None = None) -> exp.Expr:
    """Return that a row has the key."""
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
    """Return the known events in a task's window: needs ``explained`` and the task's own relations."""
    rule = w.event_rule(tasks, task)
    names = (*rule.event, *w.answers(tasks, task))
    signals = _known(log, as_of, names, [x.alias(w.counts(rule), w.COUNTS)])
    wanted = [*x.columns((*log.events, w.COUNTS), w.SIGNALS)]
    joins: list[x.Join] = [(_window(rule, rule.match), w.inside(rule, rule.match))]
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
    """Return the known events of a task's n-th exclusion in its window: needs ``explained``."""
    rule, out = w.event_rule(tasks, task), tasks.tasks[task].exclude[number]
    signals = _known(log, as_of, out.event, [])
    joins: list[x.Join] = [(_window(rule, out.on), w.inside(rule, out.on))]
    wanted = [*x.columns(log.events, w.SIGNALS), x.alias(exp.true(), w.COUNTS), x.alias(exp.true(), MINE)]
    return x.select(wanted, x.subquery(signals, w.SIGNALS), joins=joins)


def _known(log: Log, as_of: x.AsOf, events: Sequence[str], more: Sequence[exp.Expr]) -> exp.Select:
    known = rows.known_events(as_of, log.events, list(dict.fromkeys(events)), wanted=log.events)
    return x.select([*x.columns(log.events), *more], x.subquery(known, rows.KNOWN))


def _window(rule: w.Rule, match: Sequence[str]) -> exp.Subquery:
    """Return the impression's window: its match columns and where it opens, which may be nowhere."""
    opens = x.column(credit(rule.after) if rule.after else c.SHOWN_AT)
    keys = [name for name in c.IMPRESSION_KEY if name not in match]
    columns = [*x.columns((*match, *keys)), x.alias(opens, w.OPENS)]
    return x.subquery(x.select(columns, x.table(EXPLAINED)), w.WINDOWS)


def _literal(value: Any) -> exp.Expr:
    return x.integer(value) if isinstance(value, int) else x.text(value)
