"""Which events an impression is credited with: the relations of one task.

::

    <task>__signals    the events that may count, with the match columns
    <task>__windows    where windows open; impressions with equal match columns and opening share a row
    <task>__touched    first_touch, last_touch: the impression that each instant's events go to
    <task>__credited   per window (every) or impression (touch): crediting event, answer, value
    <task>__out_<k>    per window: the first event of the k-th exclusion

Windows are narrowed to match values that have a signal before anything is joined, so the relations
are as small as the outcomes, not as large as the log. Names that begin with ``_`` cannot meet a
log's columns: an identifier of a contract begins with a letter.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.contracts.tasks import Positive, ValueRule
from tasks.labels import expressions as x
from tasks.labels.portable import ORDERED_SUM, finite

SHOWN = "shown"
KNOWN = "known"
AT, OPENS, ANSWERED, AMOUNT = "_at", "_opens", "_answered", "_amount"
_COUNTS, _ANSWERS, _PLACE = "_counts", "_answers", "_place"
_WINDOWS, _SIGNALS = "windows", "signals"

Relations = dict[str, exp.Select]


@dataclass(frozen=True)
class Join:
    """How the impressions reach a relation: a left join and its condition."""

    relation: str
    on: exp.Expr


def credited(task: str) -> str:
    """Name the relation of a task's credited events."""
    return f"{task}__credited"


def excluded(task: str, number: int) -> str:
    """Name the relation of a task's exclusion events of one rule."""
    return f"{task}__out_{number}"


def event_rule(spec: TasksSpec, task: str) -> Positive | ValueRule:
    """Return the event rule of a task that is no composite."""
    rule = spec.tasks[task].rule
    assert rule is not None, f"{task} is a composite"  # noqa: S101 - callers leave composites out
    return rule


def joins(spec: TasksSpec, task: str) -> tuple[Join, ...]:
    """Return the joins from the impressions to a task's credited events, its chain's before its own."""
    rule = event_rule(spec, task)
    before = joins(spec, rule.after) if rule.after else ()
    relation = credited(task)
    if rule.credit == "every":
        on: exp.Expr = exp.and_(
            x.equal(rule.match, SHOWN, relation), x.column(OPENS, relation).eq(_opens(rule))
        )
    else:
        on = x.equal(c.IMPRESSION_KEY, SHOWN, relation)
    return (*before, Join(relation, on))


def exclusion_joins(spec: TasksSpec, task: str) -> tuple[Join, ...]:
    """Return the joins from the impressions to each exclusion's first event, after those of the chain."""
    rule = event_rule(spec, task)
    return tuple(
        Join(
            excluded(task, k),
            exp.and_(
                x.equal(out.on, SHOWN, excluded(task, k)),
                x.column(OPENS, excluded(task, k)).eq(_opens(rule)),
            ),
        )
        for k, out in enumerate(spec.tasks[task].exclude)
    )


def credit_relations(spec: TasksSpec, task: str, *, position: bool) -> Relations:
    """Return a task's relations in the order in which they build on each other.

    Parameters
    ----------
    position
        Whether the impressions have a position to break ties by.
    """
    rule = event_rule(spec, task)
    observed_when = spec.tasks[task].observed_when
    answers = (observed_when.event or ()) if observed_when else ()
    signals, windows, touched = f"{task}__signals", f"{task}__windows", f"{task}__touched"
    found: Relations = {signals: _signals(rule, answers)}
    if rule.credit == "every":
        found[windows] = _windows(spec, task, signals, rule.match)
        group: Sequence[str] = (*rule.match, OPENS)
        pairs = _pairs(rule, windows, signals)
    else:
        found[windows] = _contenders(spec, task, position=position)
        found[touched] = _touched(task, rule, position=position)
        group = c.IMPRESSION_KEY
        pairs = _touched_pairs(rule, touched, signals)
    found[credited(task)] = _credited(rule, pairs, group, answers=bool(answers))
    for k, out in enumerate(spec.tasks[task].exclude):
        signals, windows = f"{task}__out_{k}_signals", f"{task}__out_{k}_windows"
        found[signals] = _events(out.on, out.event)
        found[windows] = _windows(spec, task, signals, out.on)
        found[excluded(task, k)] = _first(rule, windows, signals, out.on)
    return found


def _opens(rule: Positive | ValueRule) -> exp.Column:
    return x.column(AT, credited(rule.after)) if rule.after else x.column(c.SHOWN_AT, SHOWN)


def _events(match: Sequence[str], events: Iterable[str]) -> exp.Select:
    return (
        exp.select(*x.columns((*match, c.HAPPENED_AT)))
        .from_(x.table(KNOWN))
        .where(x.one_of(x.column(c.EVENT), events), *(x.not_null(x.column(m)) for m in match))
    )


def _signals(rule: Positive | ValueRule, answers: Sequence[str]) -> exp.Select:
    event = x.column(c.EVENT)
    query = _events(rule.match, dict.fromkeys((*rule.event, *answers)))
    counts: exp.Expr = x.one_of(event, rule.event)
    if isinstance(rule, ValueRule):
        query = query.select(x.named(finite(x.column(c.VALUE)), AMOUNT))
    elif rule.value_at_least is not None:
        enough = exp.GTE(this=finite(x.column(c.VALUE)), expression=x.number(rule.value_at_least))
        counts = exp.and_(counts, exp.func("COALESCE", enough, exp.false()))
    query = query.select(x.named(counts, _COUNTS))
    return query.select(x.named(x.one_of(event, answers), _ANSWERS)) if answers else query


def _impressions(spec: TasksSpec, task: str, signals: str, match: Sequence[str]) -> exp.Select:
    """Return the impressions that have a window, and a signal somewhere for their match columns."""
    rule = event_rule(spec, task)
    query = exp.select().from_(x.table(SHOWN))
    if rule.after:
        for join in joins(spec, rule.after):
            query = query.join(x.table(join.relation), on=join.on)
        query = query.where(x.not_null(x.column(AT, credited(rule.after))))
    some = exp.select(x.integer(1)).from_(x.table(signals, _SIGNALS)).where(x.equal(match, _SIGNALS, SHOWN))
    return query.where(exp.Exists(this=some))


def _windows(spec: TasksSpec, task: str, signals: str, match: Sequence[str]) -> exp.Select:
    opens = x.named(_opens(event_rule(spec, task)), OPENS)
    return _impressions(spec, task, signals, match).select(*x.columns(match, SHOWN), opens).distinct()


def _contenders(spec: TasksSpec, task: str, *, position: bool) -> exp.Select:
    """Return, of the impressions that share a window and an instant, the one that wins every event."""
    rule = event_rule(spec, task)
    wanted = (*rule.match, *c.IMPRESSION_KEY, c.SHOWN_AT, *((c.POSITION,) if position else ()))
    partition = [*x.columns((*rule.match, c.SHOWN_AT), SHOWN), *([_opens(rule)] if rule.after else [])]
    order = _best_first(rule, SHOWN, position=position)
    inner = _impressions(spec, task, f"{task}__signals", rule.match).select(
        *x.columns(wanted, SHOWN), x.named(_opens(rule), OPENS), x.named(x.place(partition, order), _PLACE)
    )
    return _winners(inner, (*wanted, OPENS))


def _touched(task: str, rule: Positive | ValueRule, *, position: bool) -> exp.Select:
    """Return, for each instant with a signal, the impression that its events are credited to."""
    instant = (*rule.match, c.HAPPENED_AT)
    moments = exp.select(*x.columns(instant)).from_(x.table(f"{task}__signals")).distinct()
    place = x.place(x.columns(instant, _SIGNALS), _best_first(rule, _WINDOWS, position=position))
    wanted = [n for n in c.IMPRESSION_KEY if n not in rule.match]
    inner = (
        exp.select(*x.columns(instant, _SIGNALS), *x.columns(wanted, _WINDOWS), x.named(place, _PLACE))
        .from_(moments.subquery(x.name(_SIGNALS)))
        .join(x.table(f"{task}__windows", _WINDOWS), on=_inside(rule, rule.match))
    )
    return _winners(inner, (*instant, *wanted))


def _winners(inner: exp.Select, names: Sequence[str]) -> exp.Select:
    first = x.column(_PLACE).eq(x.integer(1))
    return exp.select(*x.columns(names)).from_(inner.subquery(x.name("placed"))).where(first)


def _best_first(rule: Positive | ValueRule, table: str, *, position: bool) -> list[exp.Ordered]:
    names = (c.SHOWN_AT, *((c.POSITION,) if position else ()), *c.IMPRESSION_KEY)
    order = x.descending if rule.credit == "last_touch" else x.ascending
    return [order(column) for column in x.columns(names, table)]


def _inside(rule: Positive | ValueRule, match: Sequence[str]) -> exp.Expr:
    """Return that a signal has a window's match columns and lies in it."""
    happened, opens = x.column(c.HAPPENED_AT, _SIGNALS), x.column(OPENS, _WINDOWS)
    after = exp.GT if rule.after else exp.GTE
    closes = exp.Add(this=opens.copy(), expression=x.span(rule.within))
    return exp.and_(
        x.equal(match, _SIGNALS, _WINDOWS),
        after(this=happened, expression=opens),
        exp.LT(this=happened.copy(), expression=closes),
    )


def _pairs(rule: Positive | ValueRule, windows: str, signals: str) -> exp.Select:
    query = exp.select(*x.columns((*rule.match, OPENS), _WINDOWS)).from_(x.table(windows, _WINDOWS))
    return query.join(x.table(signals, _SIGNALS), on=_inside(rule, rule.match))


def _touched_pairs(rule: Positive | ValueRule, touched: str, signals: str) -> exp.Select:
    query = exp.select(*x.columns(c.IMPRESSION_KEY, _WINDOWS)).from_(x.table(touched, _WINDOWS))
    same = x.equal((*rule.match, c.HAPPENED_AT), _WINDOWS, _SIGNALS)
    return query.join(x.table(signals, _SIGNALS), on=same)


def _first(rule: Positive | ValueRule, windows: str, signals: str, match: Sequence[str]) -> exp.Select:
    group = x.columns((*match, OPENS), _WINDOWS)
    return (
        exp.select(*group, x.named(exp.Min(this=x.column(c.HAPPENED_AT, _SIGNALS)), AT))
        .from_(x.table(windows, _WINDOWS))
        .join(x.table(signals, _SIGNALS), on=_inside(rule, match))
        .group_by(*x.columns((*match, OPENS), _WINDOWS))
    )


def _credited(
    rule: Positive | ValueRule, pairs: exp.Select, group: Sequence[str], *, answers: bool
) -> exp.Select:
    """Fold the pairs of window and signal into one row a window."""
    wanted = [c.HAPPENED_AT, _COUNTS]
    if isinstance(rule, ValueRule):
        wanted.append(AMOUNT)
        folded = [x.named(_amount(rule), AMOUNT)]
    else:
        folded = [x.named(_crediting(rule), AT)]
    if answers:
        wanted.append(_ANSWERS)
        some = exp.Max(this=x.when(x.column(_ANSWERS), x.integer(1), x.integer(0)))
        folded.append(x.named(some, ANSWERED))
    pairs = pairs.select(*x.columns(wanted, _SIGNALS))
    if order := _numbered_by(rule):
        apart: list[exp.Expr] = [x.column(_COUNTS, _SIGNALS)]
        apart += [x.is_null(x.column(AMOUNT, _SIGNALS))] if AMOUNT in order else []
        ranks = [x.ascending(column) for column in x.columns(order, _SIGNALS)]
        place = x.place([*x.columns(group, _WINDOWS), *apart], ranks)
        pairs = pairs.select(x.named(place, _PLACE))
    keys = x.columns(group)
    return exp.select(*keys, *folded).from_(pairs.subquery(x.name("pairs"))).group_by(*x.columns(group))


def _numbered_by(rule: Positive | ValueRule) -> tuple[str, ...]:
    """Return the order in which a window's signals must be numbered; nothing where they need not be."""
    if isinstance(rule, ValueRule):
        return (c.HAPPENED_AT, AMOUNT) if rule.aggregate == "first" else ()
    return (c.HAPPENED_AT,) if rule.at_least > 1 else ()


def _crediting(rule: Positive) -> exp.Expr:
    counts: exp.Expr = x.column(_COUNTS)
    if rule.at_least > 1:
        counts = exp.and_(counts, x.column(_PLACE).eq(x.integer(rule.at_least)))
    return exp.Min(this=x.when(counts, x.column(c.HAPPENED_AT)))


def _amount(rule: ValueRule) -> exp.Expr:
    amount = x.when(x.column(_COUNTS), x.column(AMOUNT))
    match rule.aggregate:
        case "count":
            return exp.Sum(this=x.when(x.column(_COUNTS), x.integer(1), x.integer(0)))
        case "sum":
            return exp.Anonymous(this=ORDERED_SUM, expressions=[amount])
        case "max":
            return exp.Max(this=amount)
        case "first":
            first = exp.and_(x.column(_COUNTS), x.column(_PLACE).eq(x.integer(1)))
            return exp.Min(this=x.when(first, x.column(AMOUNT)))
