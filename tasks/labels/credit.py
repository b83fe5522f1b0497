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

from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.contracts.tasks import Positive, ValueRule
from tasks.labels import expressions as x
from tasks.labels.portable import finite, ordered_sum
from tasks.labels.rows import KNOWN, PLACE, SHOWN, first_of

AT, OPENS, ANSWERED, AMOUNT = "_at", "_opens", "_answered", "_amount"
_COUNTS, _ANSWERS = "_counts", "_answers"
_WINDOWS, _SIGNALS = "windows", "signals"

Relations = dict[str, exp.Query]
Rule = Positive | ValueRule


def credited(task: str) -> str:
    """Name the relation of a task's credited events."""
    return f"{task}__credited"


def excluded(task: str, number: int) -> str:
    """Name the relation of a task's exclusion events of one rule."""
    return f"{task}__out_{number}"


def event_rule(spec: TasksSpec, task: str) -> Rule:
    """Return the event rule of a task that is no composite."""
    rule = spec.tasks[task].rule
    if rule is None:
        raise ValueError(f"{task} is a composite")
    return rule


def credit_joins(spec: TasksSpec, task: str) -> list[x.Join]:
    """Return the joins from the impressions to a task's credited events, its chain's before its own."""
    rule = event_rule(spec, task)
    chain = credit_joins(spec, rule.after) if rule.after else []
    relation = credited(task)
    if rule.credit == "every":
        return [*chain, (x.table(relation), _same_window(rule, rule.match, relation))]
    return [*chain, (x.table(relation), x.equal(c.IMPRESSION_KEY, SHOWN, relation))]


def exclusion_joins(spec: TasksSpec, task: str) -> list[x.Join]:
    """Return the joins from the impressions to each exclusion's first event, for after those of the chain."""
    rule = event_rule(spec, task)
    return [
        (x.table(excluded(task, k)), _same_window(rule, out.on, excluded(task, k)))
        for k, out in enumerate(spec.tasks[task].exclude)
    ]


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
        paired = _inside(rule, rule.match)
    else:
        found[windows] = _contenders(spec, task, signals, position=position)
        found[touched] = _touched(rule, windows, signals, position=position)
        group, windows = c.IMPRESSION_KEY, touched
        paired = x.equal((*rule.match, c.HAPPENED_AT), _WINDOWS, _SIGNALS)
    pairs = _pairs(rule, windows, signals, group, paired, answers)
    found[credited(task)] = _credited(rule, pairs, group, answers)
    for k, out in enumerate(spec.tasks[task].exclude):
        signals, windows = f"{task}__out_{k}_signals", f"{task}__out_{k}_windows"
        found[signals] = _events(out.on, out.event, [])
        found[windows] = _windows(spec, task, signals, out.on)
        found[excluded(task, k)] = _first(rule, windows, signals, out.on)
    return found


def _opens(rule: Rule) -> exp.Column:
    return x.column(AT, credited(rule.after)) if rule.after else x.column(c.SHOWN_AT, SHOWN)


def _same_window(rule: Rule, match: Sequence[str], relation: str) -> exp.Expr:
    return x.all_of(x.equal(match, SHOWN, relation), x.same(x.column(OPENS, relation), _opens(rule)))


def _events(match: Sequence[str], events: Iterable[str], more: Sequence[exp.Expr]) -> exp.Select:
    return x.select(
        [*x.columns((*match, c.HAPPENED_AT)), *more],
        x.table(KNOWN),
        where=[x.one_of(x.column(c.EVENT), events), *(x.not_null(x.column(m)) for m in match)],
    )


def _signals(rule: Rule, answers: Sequence[str]) -> exp.Select:
    more: list[exp.Expr] = []
    counts = x.one_of(x.column(c.EVENT), rule.event)
    if isinstance(rule, ValueRule):
        more.append(x.named(finite(x.column(c.VALUE)), AMOUNT))
    elif rule.value_at_least is not None:
        enough = x.from_on(finite(x.column(c.VALUE)), x.number(rule.value_at_least))
        counts = x.all_of(counts, x.coalesce(enough, exp.false()))
    more.append(x.named(counts, _COUNTS))
    if answers:
        more.append(x.named(x.one_of(x.column(c.EVENT), answers), _ANSWERS))
    return _events(rule.match, dict.fromkeys((*rule.event, *answers)), more)


def _impressions(
    spec: TasksSpec,
    task: str,
    signals: str,
    match: Sequence[str],
    wanted: Sequence[exp.Expr],
    *,
    distinct: bool,
) -> exp.Select:
    """Return the impressions that have a window, and a signal somewhere for their match columns."""
    rule = event_rule(spec, task)
    where = [x.exists(x.table(signals, _SIGNALS), x.equal(match, _SIGNALS, SHOWN))]
    if rule.after:
        where.append(x.not_null(x.column(AT, credited(rule.after))))
    joins = credit_joins(spec, rule.after) if rule.after else []
    return x.select(wanted, x.table(SHOWN), joins=joins, where=where, distinct=distinct)


def _windows(spec: TasksSpec, task: str, signals: str, match: Sequence[str]) -> exp.Select:
    wanted = [*x.columns(match, SHOWN), x.named(_opens(event_rule(spec, task)), OPENS)]
    return _impressions(spec, task, signals, match, wanted, distinct=True)


def _contenders(spec: TasksSpec, task: str, signals: str, *, position: bool) -> exp.Select:
    """Return, of the impressions that share a window and an instant, the one that wins every event."""
    rule = event_rule(spec, task)
    names = (*rule.match, *c.IMPRESSION_KEY, c.SHOWN_AT, *((c.POSITION,) if position else ()))
    twins = [*x.columns((*rule.match, c.SHOWN_AT), SHOWN), *([_opens(rule)] if rule.after else [])]
    place = x.place(twins, _best_first(rule, SHOWN, position=position))
    wanted = [*x.columns(names, SHOWN), x.named(_opens(rule), OPENS), x.named(place, PLACE)]
    placed = _impressions(spec, task, signals, rule.match, wanted, distinct=False)
    return first_of(x.subquery(placed, "placed"), (*names, OPENS))


def _touched(rule: Rule, windows: str, signals: str, *, position: bool) -> exp.Select:
    """Return, for each instant with a signal, the impression that its events are credited to."""
    instant = (*rule.match, c.HAPPENED_AT)
    moments = x.select(x.columns(instant), x.table(signals), distinct=True)
    place = x.place(x.columns(instant, _SIGNALS), _best_first(rule, _WINDOWS, position=position))
    keys = [n for n in c.IMPRESSION_KEY if n not in rule.match]
    placed = x.select(
        [*x.columns(instant, _SIGNALS), *x.columns(keys, _WINDOWS), x.named(place, PLACE)],
        x.subquery(moments, _SIGNALS),
        joins=[(x.table(windows, _WINDOWS), _inside(rule, rule.match))],
    )
    return first_of(x.subquery(placed, "placed"), (*instant, *keys))


def _best_first(rule: Rule, table: str, *, position: bool) -> list[exp.Expr]:
    names = (c.SHOWN_AT, *((c.POSITION,) if position else ()), *c.IMPRESSION_KEY)
    order = x.descending if rule.credit == "last_touch" else x.ascending
    return [order(column) for column in x.columns(names, table)]


def _inside(rule: Rule, match: Sequence[str]) -> exp.Expr:
    """Return that a signal has a window's match columns and lies in it."""
    opens = x.column(OPENS, _WINDOWS)
    after_opening = x.after if rule.after else x.from_on
    closes = exp.Add(this=opens.copy(), expression=x.span(rule.within))
    return x.all_of(
        x.equal(match, _SIGNALS, _WINDOWS),
        after_opening(x.column(c.HAPPENED_AT, _SIGNALS), opens),
        x.before(x.column(c.HAPPENED_AT, _SIGNALS), closes),
    )


def _first(rule: Rule, windows: str, signals: str, match: Sequence[str]) -> exp.Select:
    earliest = exp.Min(this=x.column(c.HAPPENED_AT, _SIGNALS))
    return x.select(
        [*x.columns((*match, OPENS), _WINDOWS), x.named(earliest, AT)],
        x.table(windows, _WINDOWS),
        joins=[(x.table(signals, _SIGNALS), _inside(rule, match))],
        group=x.columns((*match, OPENS), _WINDOWS),
    )


def _pairs(
    rule: Rule, windows: str, signals: str, group: Sequence[str], paired: exp.Expr, answers: Sequence[str]
) -> exp.Select:
    """Return every signal with the window that it is credited to, numbered where the rule counts."""
    names = [c.HAPPENED_AT, _COUNTS]
    names += [AMOUNT] if isinstance(rule, ValueRule) else []
    names += [_ANSWERS] if answers else []
    wanted = [*x.columns(group, _WINDOWS), *x.columns(names, _SIGNALS)]
    if order := _numbered_by(rule):
        apart = x.columns([_COUNTS], _SIGNALS)
        apart += [x.is_null(x.column(AMOUNT, _SIGNALS))] if AMOUNT in order else []
        earliest_first = [x.ascending(column) for column in x.columns(order, _SIGNALS)]
        place = x.place([*x.columns(group, _WINDOWS), *apart], earliest_first)
        wanted.append(x.named(place, PLACE))
    return x.select(wanted, x.table(windows, _WINDOWS), joins=[(x.table(signals, _SIGNALS), paired)])


def _credited(rule: Rule, pairs: exp.Select, group: Sequence[str], answers: Sequence[str]) -> exp.Select:
    """Fold the pairs of window and signal into one row a window."""
    if isinstance(rule, ValueRule):
        folded = [x.named(_amount(rule), AMOUNT)]
    else:
        folded = [x.named(_crediting(rule), AT)]
    if answers:
        some = exp.Max(this=x.when(x.column(_ANSWERS), x.integer(1), x.integer(0)))
        folded.append(x.named(some, ANSWERED))
    return x.select([*x.columns(group), *folded], x.subquery(pairs, "pairs"), group=x.columns(group))


def _numbered_by(rule: Rule) -> tuple[str, ...]:
    """Return the order in which a window's signals must be numbered; nothing where they need not be."""
    if isinstance(rule, ValueRule):
        return (c.HAPPENED_AT, AMOUNT) if rule.aggregate == "first" else ()
    return (c.HAPPENED_AT,) if rule.at_least > 1 else ()


def _crediting(rule: Positive) -> exp.Expr:
    counts: exp.Expr = x.column(_COUNTS)
    if rule.at_least > 1:
        counts = x.all_of(counts, x.same(x.column(PLACE), x.integer(rule.at_least)))
    return exp.Min(this=x.when(counts, x.column(c.HAPPENED_AT)))


def _amount(rule: ValueRule) -> exp.Expr:
    amount = x.when(x.column(_COUNTS), x.column(AMOUNT))
    match rule.aggregate:
        case "count":
            return exp.Sum(this=x.when(x.column(_COUNTS), x.integer(1), x.integer(0)))
        case "sum":
            return ordered_sum(amount)
        case "max":
            return exp.Max(this=amount)
        case "first":
            first = x.all_of(x.column(_COUNTS), x.same(x.column(PLACE), x.integer(1)))
            return exp.Min(this=x.when(first, x.column(AMOUNT)))
