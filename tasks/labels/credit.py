"""Events credited to an impression: the relations of a task, in one of two forms.

::

    <task>__signals    events that may count, with the match columns
    <task>__windows    first_touch, last_touch by a scan: for each instant the impression that competes
    <task>__touched    first_touch, last_touch: the impression credited with each instant's events
    <task>__credited   per window (every) or impression (touch): crediting event, answer, value
    <task>__out_<k>    per window: the first event of the k-th exclusion

Both forms give the same rows. A join visits every pair of a window and a signal with equal match columns; a
scan sorts both. A join is faster if few rows share a key, but does not finish if one user has tens of
thousands of impressions and events. The form is chosen by the key, or by counting the pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.contracts.tasks import ValueRule
from tasks.labels import windows as w
from tasks.labels.query import Crediting, Form, Relations
from tasks.labels.windows import credits_alone
from tasks.logs import rows
from tasks.sql import expressions as x

_TICK = timedelta(microseconds=1)


def list_creditings(
    spec: TasksSpec, task: str, arrived: x.AsOf, *, has_position: bool, labels_only: bool = False
) -> list[Crediting]:
    """Return a task's own crediting, and the crediting of each of its exclusions.

    Parameters
    ----------
    arrived
        The instant up to which the log had arrived: see ``Horizon``.
    has_position
        Whether the impressions have a position, which breaks ties.
    labels_only
        See ``label_query``.
    """
    rule, among = w.event_rule(spec, task), rows.WRITTEN if labels_only else rows.SHOWN
    if rule.credit != "every":
        own = _touch(spec, task, has_position=has_position)
    elif labels_only and credits_alone(spec, task):
        own = _every(spec, task, among=among, where=[w.is_mature(spec, task, arrived, rows.SHOWN)])
    else:
        own = _every(spec, task)
    exclusions = range(len(spec.tasks[task].exclude))
    return [own, *(_exclusion(spec, task, k, arrived, among) for k in exclusions)]


def _every(
    spec: TasksSpec, task: str, *, among: str = rows.SHOWN, where: Sequence[exp.Expr] = ()
) -> Crediting:
    name, rule = w.credited(task), w.event_rule(spec, task)
    windows, signals = w.windows(spec, task, rule.match, among=among, where=where), f"{task}__signals"
    forms: dict[Form, Relations] = {
        Form.JOIN: {name: join_every(spec, task, signals, windows)},
        Form.SCAN: {name: scan_every(spec, task, signals, windows)},
    }
    return _crediting(spec, task, forms, windows)


def _touch(spec: TasksSpec, task: str, *, has_position: bool) -> Crediting:
    signals, contenders, touched = f"{task}__signals", f"{task}__windows", w.touched(task)
    pairs = _pairs(spec, task, x.table(touched, w.WINDOWS), signals, c.IMPRESSION_KEY)
    # the credit of each impression: the signals of the instants for which it was chosen
    folded = {w.credited(task): _fold(spec, task, pairs, c.IMPRESSION_KEY)}
    forms: dict[Form, Relations] = {
        Form.JOIN: {touched: join_touched(spec, task, signals, has_position=has_position), **folded},
        Form.SCAN: {
            contenders: scan_contenders(spec, task, signals, has_position=has_position),
            touched: scan_touched(spec, task, signals, contenders),
            **folded,
        },
    }
    return _crediting(spec, task, forms, w.windows(spec, task, w.event_rule(spec, task).match))


def _crediting(spec: TasksSpec, task: str, forms: dict[Form, Relations], windows: exp.Select) -> Crediting:
    rule, signals = w.event_rule(spec, task), (f"{task}__signals", w.signals(spec, task))
    if not can_scan(rule):
        del forms[Form.SCAN]
    return Crediting(w.credited(task), rule.match, signals, windows, forms)


def _exclusion(spec: TasksSpec, task: str, number: int, arrived: x.AsOf, among: str) -> Crediting:
    """Return the crediting of an exclusion for mature impressions; immature labels have no exclusions."""
    rule, name = spec.tasks[task].exclude[number], w.excluded(task, number)
    own = w.event_rule(spec, task)
    mature = w.is_mature(spec, task, arrived, rows.SHOWN)
    windows = w.windows(spec, task, rule.on, among=among, where=[mature])
    signals = f"{name}_signals"
    forms: dict[Form, Relations] = {Form.JOIN: {name: join_exclusion(spec, task, rule.on, signals, windows)}}
    if own.until is None:
        # the first exclusion event of each window that contains one
        folds = {_Fold(w.AT, exp.Min): x.column(c.HAPPENED_AT)}
        opened = w.with_signals(windows.copy(), rule.on, signals)
        forms[Form.SCAN] = {name: _of_windows(own, rule.on, opened, x.table(signals), folds)}
    return Crediting(name, rule.on, (signals, w.events(rule.on, rule.event)), windows, forms)


def join_every(spec: TasksSpec, task: str, signals: str, windows: exp.Select) -> exp.Select:
    """Return the credit of each window."""
    rule, opened = w.event_rule(spec, task), windows.copy()
    if not _ignores_repeats(rule):
        opened = w.with_signals(opened, rule.match, signals)
        x.distinct(opened)
    window = (*rule.match, *w.bounds(rule))
    return _fold(spec, task, _pairs(spec, task, x.subquery(opened, w.WINDOWS), signals, window), window)


def join_touched(spec: TasksSpec, task: str, signals: str, *, has_position: bool) -> exp.Select:
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
        [*x.columns(instant, w.SIGNALS), *x.columns(keys, w.WINDOWS), x.alias(place, rows.PLACE)],
        x.subquery(w.windows(spec, task, names), w.WINDOWS),
        joins=[(x.subquery(moments, w.SIGNALS), w.inside(rule, rule.match))],
    )
    return rows.first_of(x.subquery(placed, "placed"), (*instant, *keys))


def join_exclusion(
    spec: TasksSpec, task: str, match: Sequence[str], signals: str, windows: exp.Select
) -> exp.Select:
    """Return the first exclusion event of each window that contains one."""
    earliest, rule = exp.Min(this=x.column(c.HAPPENED_AT, w.SIGNALS)), w.event_rule(spec, task)
    window = (*match, *w.bounds(rule))
    return x.select(
        [*x.columns(window, w.WINDOWS), x.alias(earliest, w.AT)],
        x.subquery(windows.copy(), w.WINDOWS),
        joins=[(x.table(signals, w.SIGNALS), w.inside(rule, match))],
        group=x.columns(window, w.WINDOWS),
    )


def _ignores_repeats(rule: w.Rule) -> bool:
    """Return whether a repeated signal leaves the result of the fold unchanged."""
    return rule.aggregate == "max" if isinstance(rule, ValueRule) else rule.at_least == 1


def _pairs(spec: TasksSpec, task: str, windows: exp.Expr, signals: str, group: Sequence[str]) -> exp.Select:
    """Return every signal with the window that it is credited to, numbered if the rule counts signals."""
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
        wanted.append(
            x.alias(x.row_number([*x.columns(group, w.WINDOWS), *apart], earliest_first), rows.PLACE)
        )
    return x.select(wanted, windows, joins=[(x.table(signals, w.SIGNALS), inside)])


def _fold(spec: TasksSpec, task: str, pairs: exp.Select, group: Sequence[str]) -> exp.Select:
    """Fold the pairs of window and signal into one row per window."""
    rule = w.event_rule(spec, task)
    if isinstance(rule, ValueRule):
        folded = [x.alias(_amount(rule), w.AMOUNT)]
    else:
        counted: exp.Expr = x.column(w.COUNTS)
        if rule.at_least > 1:
            counted = x.all_of(counted, x.eq(x.column(rows.PLACE), x.integer(rule.at_least)))
        folded = [x.alias(exp.Min(this=x.when(counted, x.column(c.HAPPENED_AT))), w.AT)]
    if w.answers(spec, task):
        some = exp.Max(this=x.when(x.column(w.ANSWERS), x.integer(1), x.integer(0)))
        folded.append(x.alias(some, w.ANSWERED))
    return x.select([*x.columns(group), *folded], x.subquery(pairs, "pairs"), group=x.columns(group))


def _numbered_by(rule: w.Rule) -> tuple[str, ...]:
    """Return the sort order for numbering a window's signals; empty if no numbering is needed."""
    if isinstance(rule, ValueRule):
        return (c.HAPPENED_AT, w.AMOUNT) if rule.aggregate == "first" else ()
    return (c.HAPPENED_AT,) if rule.at_least > 1 else ()


def _amount(rule: ValueRule) -> exp.Expr:
    amount = x.when(x.column(w.COUNTS), x.column(w.AMOUNT))
    match rule.aggregate:
        case "count":
            return exp.Sum(this=x.when(x.column(w.COUNTS), x.integer(1), x.integer(0)))
        case "sum":
            return x.ordered_sum(amount)
        case "max":
            return exp.Max(this=amount)
        case "first":
            first = x.all_of(x.column(w.COUNTS), x.eq(x.column(rows.PLACE), x.integer(1)))
            return exp.Min(this=x.when(first, x.column(w.AMOUNT)))


_INSTANT, _FOUND, _SCANNED = "_instant", "_found", "scanned"


@dataclass(frozen=True)
class _Side:
    """Rows of a scan, the instant of each row, and the columns that the side adds."""

    source: exp.Expr
    placed_at: exp.Expr
    columns: Mapping[str, exp.Expr]


@dataclass(frozen=True)
class _Fold:
    """A column of a scan: the fold of the other side's rows so far, or of those within a time frame."""

    name: str
    function: type[exp.AggFunc]
    frame: timedelta | None = None

    def over(self, match: Sequence[str], *, latest_first: bool) -> exp.Expr:
        """Return the window expression of the fold."""
        order = x.descending if latest_first else x.ascending
        return x.over(
            self.function(this=x.column(self.name)),
            x.columns(match),
            order(x.column(_INSTANT)),
            back=self.frame,
        )


def can_scan(rule: w.Rule) -> bool:
    """Return whether a scan gives a rule's exact credit.

    A sum adds values in order and a first value compares two columns. Both need each window's own signals,
    which a scan provides only for touch credit. Touch credit requires windows that close in the order of
    impressions; windows after a parent's event may not. Windows with their own deadline need a join.
    """
    if rule.until is not None:
        return False
    if rule.credit != "every":
        return rule.after is None
    return not (isinstance(rule, ValueRule) and rule.aggregate in {"sum", "first"})


def scan_every(spec: TasksSpec, task: str, signals: str, windows: exp.Select) -> exp.Select:
    """Return the credit of each window."""
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


def scan_contenders(spec: TasksSpec, task: str, signals: str, *, has_position: bool) -> exp.Select:
    """Return, among the impressions of one instant, the one that touch credit prefers."""
    rule = w.event_rule(spec, task)
    names = (*rule.match, *c.IMPRESSION_KEY)
    opened = w.with_signals(
        w.windows(spec, task, (*names, *w.best_by(has_position=has_position))), rule.match, signals
    )
    place = x.row_number(
        x.columns((*rule.match, w.OPENS)), w.best_first(rule, w.WINDOWS, has_position=has_position)
    )
    placed = x.select([exp.Star(), x.alias(place, rows.PLACE)], x.subquery(opened, w.WINDOWS))
    return rows.first_of(x.subquery(placed, "placed"), (*names, w.OPENS))


def scan_touched(spec: TasksSpec, task: str, signals: str, contenders: str) -> exp.Select:
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
    """Return the signals with ``_at``, the instant at which a window starting with this signal has enough."""
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
    """Return the windows for which a fold gives a value; ``folds`` maps each fold to its argument."""
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
    """Condition that a fold's value lies in the window; a fold in a frame contains no others."""
    if fold.frame is not None:
        return x.not_null(x.column(fold.name))
    return x.lt(x.column(fold.name), w.closes(rule, x.column(w.OPENS)))


def _value(name: str) -> exp.Expr:
    return x.integer(1) if name == w.ANSWERED else x.column(name)


def _scan(
    match: Sequence[str], asking: _Side, other: _Side, folds: Sequence[_Fold], *, latest_first: bool
) -> exp.Subquery:
    """Return each row of one side with folds of the other side's rows that do not follow it in the scan."""
    names = (*asking.columns, *other.columns)
    both = exp.Union(this=_rows(match, asking, names), expression=_rows(match, other, names), distinct=False)
    folded = [x.alias(fold.over(match, latest_first=latest_first), fold.name) for fold in folds]
    wanted = [*x.columns((*match, *asking.columns)), *folded]
    return x.subquery(x.select(wanted, x.subquery(both, "met")), _SCANNED)


def _rows(match: Sequence[str], side: _Side, names: Sequence[str]) -> exp.Select:
    values = [x.alias(side.columns[n].copy() if n in side.columns else exp.Null(), n) for n in names]
    return x.select([*x.columns(match), x.alias(side.placed_at.copy(), _INSTANT), *values], side.source)
