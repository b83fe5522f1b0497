"""Credit by a join of windows and signals on their match columns: best where few of them share a key.

::

    windows -- match, inside --> signals     folded into one row a window (every) or an impression (touch)

Windows that are equal in match columns and opening share a row. The fold merges them, unless a signal that
comes twice would change its result: then they are made distinct first.
"""

from collections.abc import Sequence

from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.contracts.tasks import Positive, ValueRule
from tasks.labels import windows as w
from tasks.logs.rows import PLACE, first_of
from tasks.sql import expressions as x
from tasks.sql.dialects import ordered_sum


def credited_every(spec: TasksSpec, task: str, signals: str, windows: exp.Select) -> exp.Select:
    """Return what each window is credited with."""
    rule, opened = w.event_rule(spec, task), windows.copy()
    if not _ignores_repeats(rule):
        opened = w.with_signals(opened, rule.match, signals)
        x.distinct(opened)
    pairs = _pairs(spec, task, x.subquery(opened, w.WINDOWS), signals, (*rule.match, w.OPENS))
    return _fold(spec, task, pairs, (*rule.match, w.OPENS))


def credited_touched(spec: TasksSpec, task: str, signals: str) -> exp.Select:
    """Return what each impression is credited with: the signals of the instants that it was touched at."""
    touched = x.table(w.touched(task), w.WINDOWS)
    return _fold(spec, task, _pairs(spec, task, touched, signals, c.IMPRESSION_KEY), c.IMPRESSION_KEY)


def touched(spec: TasksSpec, task: str, signals: str, *, has_position: bool) -> exp.Select:
    """Return, for each instant with a signal, the impression that its events are credited to."""
    rule = w.event_rule(spec, task)
    instant = (*rule.match, c.HAPPENED_AT)
    names = (*rule.match, *c.IMPRESSION_KEY, *w.best_by(has_position=has_position))
    moments = x.distinct(x.select(x.columns(instant), x.table(signals)))
    place = x.row_number(
        x.columns(instant, w.SIGNALS), w.best_first(rule, w.WINDOWS, has_position=has_position)
    )
    keys = [n for n in c.IMPRESSION_KEY if n not in rule.match]
    placed = x.select(
        [*x.columns(instant, w.SIGNALS), *x.columns(keys, w.WINDOWS), x.alias(place, PLACE)],
        x.subquery(w.windows(spec, task, names), w.WINDOWS),
        joins=[(x.subquery(moments, w.SIGNALS), w.inside(rule, rule.match))],
    )
    return first_of(x.subquery(placed, "placed"), (*instant, *keys))


def first_exclusion(
    spec: TasksSpec, task: str, match: Sequence[str], signals: str, windows: exp.Select
) -> exp.Select:
    """Return, of each window that holds one, the first exclusion event."""
    earliest = exp.Min(this=x.column(c.HAPPENED_AT, w.SIGNALS))
    group = x.columns((*match, w.OPENS), w.WINDOWS)
    return x.select(
        [*group, x.alias(earliest, w.AT)],
        x.subquery(windows.copy(), w.WINDOWS),
        joins=[(x.table(signals, w.SIGNALS), w.inside(w.event_rule(spec, task), match))],
        group=x.columns((*match, w.OPENS), w.WINDOWS),
    )


def _ignores_repeats(rule: w.Rule) -> bool:
    """Return whether a signal that comes twice leaves the result of the fold unchanged."""
    return rule.aggregate == "max" if isinstance(rule, ValueRule) else rule.at_least == 1


def _pairs(spec: TasksSpec, task: str, windows: exp.Expr, signals: str, group: Sequence[str]) -> exp.Select:
    """Return every signal with the window to which it is credited, numbered where the rule counts."""
    rule = w.event_rule(spec, task)
    inside = w.inside(rule, rule.match)
    if rule.credit != "every":
        inside = x.eq_columns((*rule.match, c.HAPPENED_AT), w.WINDOWS, w.SIGNALS)
    names = [c.HAPPENED_AT, w.COUNTS]
    names += [w.AMOUNT] if isinstance(rule, ValueRule) else []
    names += [w.ANSWERS] if w.answers(spec, task) else []
    wanted = [*x.columns(group, w.WINDOWS), *x.columns(names, w.SIGNALS)]
    if order := _numbered_by(rule):
        apart = x.columns([w.COUNTS], w.SIGNALS)
        apart += [x.is_null(x.column(w.AMOUNT, w.SIGNALS))] if w.AMOUNT in order else []
        earliest_first = [x.ascending(column) for column in x.columns(order, w.SIGNALS)]
        wanted.append(x.alias(x.row_number([*x.columns(group, w.WINDOWS), *apart], earliest_first), PLACE))
    return x.select(wanted, windows, joins=[(x.table(signals, w.SIGNALS), inside)])


def _fold(spec: TasksSpec, task: str, pairs: exp.Select, group: Sequence[str]) -> exp.Select:
    """Fold the pairs of window and signal into one row a window."""
    rule = w.event_rule(spec, task)
    if isinstance(rule, ValueRule):
        folded = [x.alias(_amount(rule), w.AMOUNT)]
    else:
        folded = [x.alias(_crediting(rule), w.AT)]
    if w.answers(spec, task):
        some = exp.Max(this=x.when(x.column(w.ANSWERS), x.integer(1), x.integer(0)))
        folded.append(x.alias(some, w.ANSWERED))
    return x.select([*x.columns(group), *folded], x.subquery(pairs, "pairs"), group=x.columns(group))


def _numbered_by(rule: w.Rule) -> tuple[str, ...]:
    """Return the order in which a window's signals must be numbered; nothing where they need not be."""
    if isinstance(rule, ValueRule):
        return (c.HAPPENED_AT, w.AMOUNT) if rule.aggregate == "first" else ()
    return (c.HAPPENED_AT,) if rule.at_least > 1 else ()


def _crediting(rule: Positive) -> exp.Expr:
    counted: exp.Expr = x.column(w.COUNTS)
    if rule.at_least > 1:
        counted = x.all_of(counted, x.eq(x.column(PLACE), x.integer(rule.at_least)))
    return exp.Min(this=x.when(counted, x.column(c.HAPPENED_AT)))


def _amount(rule: ValueRule) -> exp.Expr:
    amount = x.when(x.column(w.COUNTS), x.column(w.AMOUNT))
    match rule.aggregate:
        case "count":
            return exp.Sum(this=x.when(x.column(w.COUNTS), x.integer(1), x.integer(0)))
        case "sum":
            return ordered_sum(amount)
        case "max":
            return exp.Max(this=amount)
        case "first":
            first = x.all_of(x.column(w.COUNTS), x.eq(x.column(PLACE), x.integer(1)))
            return exp.Min(this=x.when(first, x.column(w.AMOUNT)))
