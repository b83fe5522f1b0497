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
        on = exp.and_(x.equal(rule.match, SHOWN, relation), x.column(OPENS, relation).eq(_opens(rule)))
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
    found: Relations = {f"{task}__signals": _signals(rule, answers)}
    if rule.credit == "every":
        found[f"{task}__windows"] = _windows(spec, task, f"{task}__signals", rule.match)
        group = (*rule.match, OPENS)
        pairs = _pairs(rule, f"{task}__windows", f"{task}__signals")
    else:
        found[f"{task}__windows"] = _contenders(spec, task, position=position)
        found[f"{task}__touched"] = _touched(task, rule, position=position)
        group = c.IMPRESSION_KEY
        pairs = _touched_pairs(task, rule)
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
    some = exp.select(exp.Literal.number(1)).from_(x.table(signals)).where(x.equal(match, signals, SHOWN))
    return query.where(exp.Exists(this=some))


def _windows(spec: TasksSpec, task: str, signals: str, match: Sequence[str]) -> exp.Select:
    opens = x.named(_opens(event_rule(spec, task)), OPENS)
    return (
        _impressions(spec, task, signals, match).select(*x.columns(match, SHOWN), opens, copy=False).distinct()
    )


def _contenders(spec: TasksSpec, task: str, *, position: bool) -> exp.Select:
    """Return, of the impressions that share a window and an instant, the one that wins every event."""
    rule = event_rule(spec, task)
    wanted = (*rule.match, *c.IMPRESSION_KEY, c.SHOWN_AT, *((c.POSITION,) if position else ()))
    partition = [*x.columns((*rule.match, c.SHOWN_AT), SHOWN), _opens(rule)]
    order = _best_first(rule, SHOWN, position=position)
    inner = _impressions(spec, task, f"{task}__signals", rule.match).select(
        *x.columns(wanted, SHOWN), x.named(_opens(rule), OPENS), x.named(x.place(partition, order), _PLACE)
    )
    return _winners(inner, (*wanted, OPENS))


def _touched(task: str, rule: Positive | ValueRule, *, position: bool) -> exp.Select:
    """Return, for each instant with a signal, the impression that its events are credited to."""
    windows, moments = f"{task}__windows", "moments"
    instants = (
        exp.select(*x.columns((*rule.match, c.HAPPENED_AT))).from_(x.table(f"{task}__signals")).distinct()
    )
    partition = x.columns((*rule.match, c.HAPPENED_AT), moments)
    order = _best_first(rule, windows, position=position)
    wanted = [n for n in c.IMPRESSION_KEY if n not in rule.match]
    inner = (
        exp.select(*partition, *x.columns(wanted, windows), x.named(x.place(partition, order), _PLACE))
        .from_(instants.subquery(x.name(moments)))
        .join(x.table(windows), on=_inside(rule, windows, moments, rule.match))
    )
    return _winners(inner, (*rule.match, c.HAPPENED_AT, *wanted))


def _winners(inner: exp.Select, names: Sequence[str]) -> exp.Select:
    first = x.column(_PLACE).eq(x.integer(1))
    return exp.select(*x.columns(names)).from_(inner.subquery(x.name("placed"))).where(first)


def _best_first(rule: Positive | ValueRule, table: str, *, position: bool) -> list[exp.Ordered]:
    names = (c.SHOWN_AT, *((c.POSITION,) if position else ()), *c.IMPRESSION_KEY)
    order = x.descending if rule.credit == "last_touch" else x.ascending
    return [order(column) for column in x.columns(names, table)]


def _inside(rule: Positive | ValueRule, windows: str, signals: str, match: Sequence[str]) -> exp.Expr:
    """Return that a signal has a window's match columns and lies in it."""
    happened, opens = x.column(c.HAPPENED_AT, signals), x.column(OPENS, windows)
    after = exp.GT if rule.after else exp.GTE
    closes = exp.Add(this=opens, expression=x.span(rule.within))
    return exp.and_(
        x.equal(match, signals, windows),
        after(this=happened, expression=opens.copy()),
        exp.LT(this=happened.copy(), expression=closes),
    )


def _first(rule: Positive | ValueRule, windows: str, signals: str, match: Sequence[str]) -> exp.Select:
    group = x.columns((*match, OPENS), windows)
    return (
        exp.select(*group, x.named(exp.Min(this=x.column(c.HAPPENED_AT, signals)), AT))
        .from_(x.table(windows))
        .join(x.table(signals), on=_inside(rule, windows, signals, match))
        .group_by(*group)
    )


def _pairs(rule: Positive | ValueRule, windows: str, signals: str) -> exp.Select:
    query = exp.select(*x.columns((*rule.match, OPENS), windows)).from_(x.table(windows))
    return query.join(x.table(signals), on=_inside(rule, windows, signals, rule.match))


def _touched_pairs(task: str, rule: Positive | ValueRule) -> exp.Select:
    touched, signals = f"{task}__touched", f"{task}__signals"
    query = exp.select(*x.columns(c.IMPRESSION_KEY, touched)).from_(x.table(touched))
    return query.join(x.table(signals), on=x.equal((*rule.match, c.HAPPENED_AT), touched, signals))


def _credited(
    rule: Positive | ValueRule, pairs: exp.Select, group: Sequence[str], *, answers: bool
) -> exp.Select:
    """Fold the pairs of window and signal into one row a window."""
    pairs = pairs.select(x.column(c.HAPPENED_AT, _signals_of(pairs)), x.column(_COUNTS, _signals_of(pairs)))
    folded: list[exp.Expr] = []
    if isinstance(rule, ValueRule):
        pairs, amount = _amount(rule, pairs, group)
        folded.append(x.named(amount, AMOUNT))
    else:
        pairs, at = _crediting(rule, pairs, group)
        folded.append(x.named(at, AT))
    if answers:
        pairs = pairs.select(x.column(_ANSWERS, _signals_of(pairs)))
        some = exp.Max(this=x.when(x.column(_ANSWERS), x.integer(1), x.integer(0)))
        folded.append(x.named(some, ANSWERED))
    keys = x.columns(group)
    return exp.select(*keys, *folded).from_(pairs.subquery(x.name("pairs"))).group_by(*keys)


def _signals_of(pairs: exp.Select) -> str:
    joined: exp.Table = pairs.args["joins"][0].this
    return joined.name


def _crediting(rule: Positive, pairs: exp.Select, group: Sequence[str]) -> tuple[exp.Select, exp.Expr]:
    counts: exp.Expr = x.column(_COUNTS)
    if rule.at_least > 1:
        pairs = pairs.select(_numbered(pairs, group, [x.column(c.HAPPENED_AT, _signals_of(pairs))]))
        counts = exp.and_(counts, x.column(_PLACE).eq(x.integer(rule.at_least)))
    return pairs, exp.Min(this=x.when(counts, x.column(c.HAPPENED_AT)))


def _amount(rule: ValueRule, pairs: exp.Select, group: Sequence[str]) -> tuple[exp.Select, exp.Expr]:
    signals = _signals_of(pairs)
    pairs = pairs.select(x.column(AMOUNT, signals))
    amount = x.when(x.column(_COUNTS), x.column(AMOUNT))
    if rule.aggregate == "count":
        return pairs, exp.Sum(this=x.when(x.column(_COUNTS), x.integer(1), x.integer(0)))
    if rule.aggregate == "max":
        return pairs, exp.Max(this=amount)
    if rule.aggregate == "sum":
        return pairs, exp.Anonymous(this=ORDERED_SUM, expressions=[amount])
    missing = x.is_null(x.column(AMOUNT, signals))
    order = [x.column(c.HAPPENED_AT, signals), x.column(AMOUNT, signals)]
    pairs = pairs.select(_numbered(pairs, group, order, missing))
    first = exp.and_(x.column(_COUNTS), x.column(_PLACE).eq(x.integer(1)))
    return pairs, exp.Min(this=x.when(first, x.column(AMOUNT)))


def _numbered(
    pairs: exp.Select, group: Sequence[str], order: Sequence[exp.Expr], *apart: exp.Expr
) -> exp.Alias:
    """Number a window's counting signals from the earliest; those that differ in ``apart`` separately."""
    origin = pairs.args["from_"].this.name
    partition = [*x.columns(group, origin), x.column(_COUNTS, _signals_of(pairs)), *apart]
    return x.named(x.place(partition, [x.ascending(o) for o in order]), _PLACE)
