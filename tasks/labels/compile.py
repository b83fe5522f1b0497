"""tasks.yaml compiled to SQL: one query, in relations that can run as one statement or one by one.

::

    impressions, events                      the log, under our column names
      repeated, first_of_repeated, shown     rows.py     known before the as-of, one row a key
      known
      <task>__signals ... <task>__credited   credit.py   which events an impression is credited with
      facts, statuses_<n>, labels_<n>        status.py   status and label, parents before children
      -> impression columns, ds, and <task>, <task>__status, <task>__at of every task
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from tasks import columns as c
from tasks.contracts import SurfaceSpec, TasksSpec
from tasks.errors import ContractError
from tasks.labels import expressions as x
from tasks.labels import rows, status
from tasks.labels.credit import (
    AMOUNT,
    ANSWERED,
    AT,
    KNOWN,
    SHOWN,
    credit_relations,
    credited,
    excluded,
    exclusion_joins,
    joins,
)
from tasks.labels.portable import for_dialect

DIALECTS = ("duckdb", "spark", "postgres", "bigquery", "snowflake")


@dataclass(frozen=True)
class Log:
    """The columns that the log has, under our names, in the tables' order."""

    impressions: tuple[str, ...]
    events: tuple[str, ...]


@dataclass(frozen=True)
class LabelQuery:
    """The relations in the order in which they build on each other, and the query over them.

    ``steps`` maps each task to the relations that only its own credit needs.
    """

    rows: Mapping[str, exp.Query]
    steps: Mapping[str, Mapping[str, exp.Query]]
    labels: exp.Select

    def statement(self) -> exp.Select:
        """Return all of it as one SELECT."""
        query = self.labels.copy()
        inner = query.args.pop("with_", None)
        relations = dict(self.rows)
        for step in self.steps.values():
            relations |= step
        for relation, definition in relations.items():
            query = query.with_(x.name(relation), as_=definition, copy=False)
        query.args["with_"].set("expressions", query.args["with_"].expressions + inner.expressions)
        return query


def labels_sql(
    contracts_tasks: TasksSpec, as_of: x.AsOf, dialect: str = "duckdb", *, log: Log
) -> str:
    """Write the SQL of all tasks of a surface for a dialect; without an as-of it has a parameter ``as_of``.

    Raises
    ------
    ContractError
        The dialect is not known, or names of the log and of the labels meet.
    """
    if dialect not in DIALECTS:
        raise ContractError(f"Unknown dialect '{dialect}'. Known: {', '.join(DIALECTS)}")
    return render(label_query(contracts_tasks, as_of, log=log).statement(), dialect)


def render(query: exp.Expr, dialect: str = "duckdb") -> str:
    """Write a query for a dialect, every name quoted."""
    return for_dialect(query, dialect).sql(dialect=dialect, identify=True, pretty=True)


def contract_log(surface: SurfaceSpec, tasks: TasksSpec) -> Log:
    """Return the columns that the contracts speak of: what is known of a log that is not at hand."""
    seen = [t.observed_when.column for t in tasks.tasks.values() if t.observed_when]
    match = match_columns(tasks)
    segments = [s.column for s in surface.segments]
    impressions = (
        c.REQUEST_ID, c.USER_ID, c.ITEM_ID, c.SHOWN_AT, c.POSITION,
        *surface.features.names, *segments, *surface.values, *(s for s in seen if s), *match,
    )  # fmt: skip
    events = (c.EVENT, c.HAPPENED_AT, c.USER_ID, c.ITEM_ID, c.VALUE, c.INGESTED_AT, *match)
    return Log(tuple(dict.fromkeys(impressions)), tuple(dict.fromkeys(events)))


def match_columns(tasks: TasksSpec) -> tuple[str, ...]:
    """Return the columns by which some event of the contract is matched with impressions."""
    rules = [t.rule.match for t in tasks.tasks.values() if t.rule]
    outs = [out.on for t in tasks.tasks.values() for out in t.exclude]
    return tuple(dict.fromkeys(name for names in (*rules, *outs) for name in names))


def event_columns(tasks: TasksSpec, log: Log) -> tuple[str, ...]:
    """Return the columns of the events that labels are made from."""
    wanted = {c.EVENT, c.HAPPENED_AT, c.VALUE, c.INGESTED_AT, *match_columns(tasks)}
    return tuple(name for name in log.events if name in wanted)


def label_query(
    tasks: TasksSpec,
    as_of: x.AsOf,
    *,
    log: Log,
    write: Sequence[rows.DayRange] | None = None,
    read: Sequence[rows.DayRange] | None = None,
    events: Sequence[rows.DayRange] | None = None,
) -> LabelQuery:
    """Compile the tasks.

    Parameters
    ----------
    write
        Days whose labels are wanted; all where None.
    read
        Days whose impressions compete for events; all where None.
    events
        Days whose events are read; all where None.
    """
    refuse_meeting_names(tasks, log.impressions)
    names = tuple(n for n in log.impressions if n != c.DAY)
    position = c.POSITION in names
    return LabelQuery(
        rows={
            rows.REPEATED: rows.repeated_keys(as_of),
            rows.FIRST: rows.first_of_repeated(as_of, names),
            SHOWN: rows.shown_impressions(as_of, names, read),
            KNOWN: rows.known_events(as_of, event_columns(tasks, log), sorted(tasks.events), events),
        },
        steps={
            task: credit_relations(tasks, task, position=position)
            for task in tasks.order()
            if tasks.tasks[task].rule
        },
        labels=_labels(tasks, as_of, names, write),
    )


def refuse_meeting_names(tasks: TasksSpec, impressions: Iterable[str]) -> None:
    """Refuse names that differ by case only or that labels would take from the log.

    Raises
    ------
    ContractError
        Names meet: most engines do not tell ``Click`` from ``click``.
    """
    taken: dict[str, str] = {}
    for name in tasks.tasks:
        if name.lower() in taken:
            raise ContractError(f"Tasks '{taken[name.lower()]}' and '{name}' differ only by case: rename one")
        taken[name.lower()] = name
    for column in impressions:
        task = taken.get(column.lower().split("__", maxsplit=1)[0])
        if task is not None and (column.lower() == task.lower() or "__" in column):
            raise ContractError(
                f"Column '{column}' of the impressions has a name that labels of task '{task}' take: rename it"
            )


def _labels(
    tasks: TasksSpec, as_of: x.AsOf, names: Sequence[str], write: Sequence[rows.DayRange] | None
) -> exp.Select:
    layers: dict[str, exp.Select] = {"facts": _facts(tasks, names, write)}
    for n, level in enumerate(status.levels(tasks)):
        statuses = status.status_columns(tasks, level, as_of)
        layers[f"statuses_{n}"] = _on_top(layers, statuses)
        layers[f"labels_{n}"] = _on_top(layers, status.label_columns(tasks, level))
    final = exp.select(*x.columns((*names, c.DAY)), *status.final_columns(tasks))
    final = final.from_(x.table(list(layers)[-1]))
    for layer, definition in layers.items():
        final = final.with_(x.name(layer), as_=definition, copy=False)
    return final


def _on_top(layers: Mapping[str, exp.Select], expressions: Iterable[exp.Expr]) -> exp.Select:
    return exp.select(exp.Star(), *expressions).from_(x.table(list(layers)[-1]))


def _facts(tasks: TasksSpec, names: Sequence[str], write: Sequence[rows.DayRange] | None) -> exp.Select:
    day = x.named(exp.cast(x.column(c.SHOWN_AT, SHOWN), "DATE"), c.DAY)
    query = exp.select(*x.columns(names, SHOWN), day).from_(x.table(SHOWN))
    for task in tasks.order():
        spec = tasks.tasks[task]
        if not spec.rule:
            continue
        relation, own = credited(task), joins(tasks, task)[-1]
        query = query.join(x.table(relation), on=own.on, join_type="left")
        fact, to = (AT, status.credit(task)) if spec.positive else (AMOUNT, status.amount(task))
        query = query.select(x.named(x.column(fact, relation), to))
        if spec.observed_when and spec.observed_when.event:
            answered = exp.Nullif(this=x.column(ANSWERED, relation), expression=x.integer(0))
            query = query.select(x.named(answered, status.answer(task)))
        for k, join in enumerate(exclusion_joins(tasks, task)):
            query = query.join(x.table(join.relation), on=join.on, join_type="left")
            query = query.select(x.named(x.column(AT, excluded(task, k)), status.out(task, k)))
    return query.where(rows.in_days(c.SHOWN_AT, write)) if write is not None else query
