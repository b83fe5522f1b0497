"""Credit by one ordered scan of windows and signals together: no key, however frequent, multiplies rows.

::

    latest first      <-- signal -- window -- signal -- signal -- window --
                            ^ every: the earliest of the signals so far, if the window holds it
    earliest first    -- window -- window -- signal -->
                              ^ last_touch: the latest of the windows so far, if it holds the signal

For first_touch, windows are placed at their end and scanned latest first. A count and a maximum come from a
frame as long as the window. A window after a parent's event is open on the left: it is placed a microsecond
later, the smallest difference of instants.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.contracts.tasks import ValueRule
from tasks.labels import windows as w
from tasks.logs.rows import PLACE, first_of
from tasks.sql import expressions as x

_TICK = timedelta(microseconds=1)
_INSTANT, _FOUND, _SCANNED = "_instant", "_found", "scanned"


@dataclass(frozen=True)
class _Side:
    """Rows of a scan, the instant at which each is placed, and the columns that it adds."""

    source: exp.Expr
    placed_at: exp.Expr
    columns: Mapping[str, exp.Expr]


@dataclass(frozen=True)
class _Fold:
    """A column of a scan: the fold of the other side's rows so far, or of those in a frame of some length."""

    name: str
    function: type[exp.AggFunc]
    frame: timedelta | None = None

    def over(self, match: Sequence[str], *, latest_first: bool) -> exp.Expr:
        """Return the fold over the scan."""
        order = x.descending if latest_first else x.ascending
        return x.over(
            self.function(this=x.column(self.name)),
            x.columns(match),
            order(x.column(_INSTANT)),
            back=self.frame,
        )


def can_scan(rule: w.Rule) -> bool:
    """Return whether a scan gives a rule's exact credit.

    A sum adds its values in order and a first value compares two columns: both need each window's own
    signals, which only a touch gives. A touch needs windows that close in the order in which the impressions
    were shown, which windows after a parent's event need not do.
    """
    if rule.credit != "every":
        return rule.after is None
    return not (isinstance(rule, ValueRule) and rule.aggregate in {"sum", "first"})


def credited_every(spec: TasksSpec, task: str, signals: str, windows: exp.Select) -> exp.Select:
    """Return what each window is credited with."""
    rule = w.event_rule(spec, task)
    folds = {_Fold(w.AT, exp.Min): x.when(x.column(w.COUNTS), x.column(w.AT))}
    if isinstance(rule, ValueRule):
        is_count = rule.aggregate == "count"
        amount, function = (x.integer(1), exp.Sum) if is_count else (x.column(w.AMOUNT), exp.Max)
        frame = rule.within - (_TICK * 2 if rule.after else _TICK)
        folds = {_Fold(w.AMOUNT, function, frame): x.when(x.column(w.COUNTS), amount)}
    if w.answers(spec, task):
        answer = x.when(x.column(w.ANSWERS), x.column(c.HAPPENED_AT))
        folds[_Fold(w.ANSWERED, exp.Min)] = answer
    opened = w.with_signals(windows.copy(), rule.match, signals)
    return _of_windows(rule, rule.match, opened, _nth(rule, signals), folds)


def first_exclusion(
    spec: TasksSpec, task: str, match: Sequence[str], signals: str, windows: exp.Select
) -> exp.Select:
    """Return, of each window that holds one, the first exclusion event."""
    folds = {_Fold(w.AT, exp.Min): x.column(c.HAPPENED_AT)}
    opened = w.with_signals(windows.copy(), match, signals)
    return _of_windows(w.event_rule(spec, task), match, opened, x.table(signals), folds)


def contenders(spec: TasksSpec, task: str, signals: str, *, has_position: bool) -> exp.Select:
    """Return, of the impressions of one instant, the one that a touch prefers."""
    rule = w.event_rule(spec, task)
    names = (*rule.match, *c.IMPRESSION_KEY)
    opened = w.with_signals(
        w.windows(spec, task, (*names, *w.best_by(has_position=has_position))), rule.match, signals
    )
    place = x.row_number(
        x.columns((*rule.match, w.OPENS)), w.best_first(rule, w.WINDOWS, has_position=has_position)
    )
    placed = x.select([exp.Star(), x.alias(place, PLACE)], x.subquery(opened, w.WINDOWS))
    return first_of(x.subquery(placed, "placed"), (*names, w.OPENS))


def touched(spec: TasksSpec, task: str, signals: str, contenders: str) -> exp.Select:
    """Return, for each instant with a signal, the impression that its events are credited to."""
    rule = w.event_rule(spec, task)
    last, instant = rule.credit == "last_touch", (*rule.match, c.HAPPENED_AT)
    at, opened = x.column(c.HAPPENED_AT), x.column(w.OPENS)
    moments = x.subquery(x.distinct(x.select(x.columns(instant), x.table(signals))), w.SIGNALS)
    scanned = _scan(
        rule.match,
        _Side(moments, at, {c.HAPPENED_AT: at}),
        _Side(
            x.table(contenders), opened if last else w.later(opened, rule.within - _TICK), {_FOUND: opened}
        ),
        [_Fold(_FOUND, exp.Max if last else exp.Min)],
        latest_first=not last,
    )
    happened, winner = x.column(c.HAPPENED_AT, _SCANNED), x.column(_FOUND, _SCANNED)
    holds = x.lt(happened, w.closes(rule, winner)) if last else x.ge(happened, winner)
    won = x.eq(winner.copy(), x.column(w.OPENS, w.WINDOWS))
    return x.select(
        [
            *x.columns(instant, _SCANNED),
            *x.columns((n for n in c.IMPRESSION_KEY if n not in rule.match), w.WINDOWS),
        ],
        scanned,
        joins=[
            (x.table(contenders, w.WINDOWS), x.all_of(x.eq_columns(rule.match, _SCANNED, w.WINDOWS), won))
        ],
        where=[holds],
    )


def _nth(rule: w.Rule, signals: str) -> exp.Expr:
    """Return the signals with ``_at``, at which a window that counts this signal first has enough of them."""
    if isinstance(rule, ValueRule):
        return x.table(signals)
    at: exp.Expr = x.column(c.HAPPENED_AT)
    if rule.at_least > 1:
        at = x.lead(at, rule.at_least - 1, x.columns((*rule.match, w.COUNTS)), x.ascending(at.copy()))
    return x.subquery(x.select([exp.Star(), x.alias(at, w.AT)], x.table(signals)), w.SIGNALS)


def _of_windows(
    rule: w.Rule,
    match: Sequence[str],
    windows: exp.Select,
    signals: exp.Expr,
    folds: Mapping[_Fold, exp.Expr],
) -> exp.Select:
    """Return the windows for which a fold gives a value; ``folds`` maps each to its argument."""
    opened, at = x.column(w.OPENS), x.column(c.HAPPENED_AT)
    x.distinct(windows)
    placed_at = w.later(opened, _TICK) if rule.after else opened
    scanned = _scan(
        match,
        _Side(x.subquery(windows, w.WINDOWS), placed_at, {w.OPENS: opened}),
        _Side(signals, at, {fold.name: value for fold, value in folds.items()}),
        list(folds),
        latest_first=True,
    )
    holds = {fold.name: _holds(rule, fold) for fold in folds}
    values = [x.alias(x.when(held, _value(name)), name) for name, held in holds.items()]
    return x.select(
        [*x.columns((*match, w.OPENS)), *values],
        scanned,
        where=[x.not_null(opened), x.any_of(*(held.copy() for held in holds.values()))],
    )


def _holds(rule: w.Rule, fold: _Fold) -> exp.Expr:
    """Return that a fold's value lies in the window; a frame holds nothing else."""
    if fold.frame is not None:
        return x.not_null(x.column(fold.name))
    return x.lt(x.column(fold.name), w.closes(rule, x.column(w.OPENS)))


def _value(name: str) -> exp.Expr:
    return x.integer(1) if name == w.ANSWERED else x.column(name)


def _scan(
    match: Sequence[str], asking: _Side, other: _Side, folds: Sequence[_Fold], *, latest_first: bool
) -> exp.Subquery:
    """Return each row of one side with the folds of the other side's rows that come no later in the scan."""
    names = (*asking.columns, *other.columns)
    both = exp.Union(this=_rows(match, asking, names), expression=_rows(match, other, names), distinct=False)
    folded = [x.alias(fold.over(match, latest_first=latest_first), fold.name) for fold in folds]
    wanted = [*x.columns((*match, *asking.columns)), *folded]
    return x.subquery(x.select(wanted, x.subquery(both, "met")), _SCANNED)


def _rows(match: Sequence[str], side: _Side, names: Sequence[str]) -> exp.Select:
    values = [x.alias(side.columns[n].copy() if n in side.columns else exp.Null(), n) for n in names]
    return x.select([*x.columns(match), x.alias(side.placed_at.copy(), _INSTANT), *values], side.source)
