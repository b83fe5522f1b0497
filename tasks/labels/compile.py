"""tasks.yaml compiled to SQL: one query, in relations that can run as one statement or one by one.

::

    impressions, events                      the log, under our column names
      repeated, first_of_repeated, shown     rows.py     known before the as-of, one row a key
      known
      <task>__signals ... <task>__credited   credit.py   which events an impression is credited with
      facts, statuses_<n>, labels_<n>        status.py   status and label, parents before children
      -> impression columns, ds, and <task>, <task>__status, <task>__at of every task
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TaskSpec, TasksSpec
from tasks.errors import ContractError
from tasks.labels import status
from tasks.labels.credit import Crediting, Form, creditings
from tasks.labels.windows import AMOUNT, ANSWERED, AT, credit_joins, credited, excluded, exclusion_joins
from tasks.logs import rows
from tasks.logs.schema import Log, event_columns
from tasks.sql import expressions as x
from tasks.sql.dialects import utc_day
from tasks.sql.templates import render

DIALECTS = ("duckdb", "spark", "postgres", "bigquery", "snowflake")


@dataclass(frozen=True)
class LabelQuery:
    """The relations in the order in which they build on each other, and the query over them.

    ``rows`` are the log's rows that take part; ``creditings`` are each task's own, parents before children,
    and ``forms`` how each is made, by its name: where it is not named, as its key suggests; ``layers`` lead
    from the facts to the labels.
    """

    rows: Mapping[str, exp.Query]
    creditings: Mapping[str, Sequence[Crediting]]
    forms: Mapping[str, Form]
    layers: Mapping[str, exp.Query]
    final: exp.Select

    @property
    def on_the_cut(self) -> dict[str, exp.Query]:
        """The rows that take part, of a log whose repeated keys are known."""
        return {name: query for name, query in self.rows.items() if name not in {rows.REPEATED, rows.FIRST}}

    @property
    def credit(self) -> dict[str, dict[str, exp.Query]]:
        """Each task's relations, parents before children."""
        return {
            task: {
                name: relation
                for crediting in of_task
                for name, relation in crediting.relations(self.forms.get(crediting.name)).items()
            }
            for task, of_task in self.creditings.items()
        }

    def labels(self) -> exp.Select:
        """Return the query over ``rows`` and ``credit``."""
        return x.with_relations(self.final.copy(), self.layers.items())

    def statement(self) -> exp.Select:
        """Return all of it as one SELECT."""
        credit = (relation for task in self.credit.values() for relation in task.items())
        return x.with_relations(self.final.copy(), (*self.rows.items(), *credit, *self.layers.items()))


def labels_sql(tasks: TasksSpec, as_of: x.AsOf, dialect: str = "duckdb", *, log: Log) -> str:
    """Write the SQL of all tasks of a surface for a dialect; without an as-of it has a parameter ``as_of``.

    Raises
    ------
    ContractError
        The dialect is not known, or names of the log and of the labels meet.
    """
    if dialect not in DIALECTS:
        raise ContractError(f"Unknown dialect '{dialect}'. Known: {', '.join(DIALECTS)}")
    return render(label_query(tasks, as_of, log=log).statement(), dialect)


def label_query(
    tasks: TasksSpec,
    as_of: x.AsOf,
    *,
    log: Log,
    forms: Mapping[str, Form] | None = None,
    write: Sequence[rows.DayRange] | None = None,
    read: Sequence[rows.DayRange] | None = None,
    events: Sequence[rows.DayRange] | None = None,
    labels_only: bool = False,
) -> LabelQuery:
    """Compile the tasks.

    Parameters
    ----------
    forms
        How a relation that the labels join is made, by its name, such as ``click__credited`` or
        ``buy__out_0``; one that is not named is made as its key suggests.
    write
        Days whose labels are wanted; all where None.
    read
        Days whose impressions compete for events; all where None.
    events
        Days whose events are read; all where None.
    labels_only
        Credit only what bears on the labels of ``write``: no immature impression, and none of other days,
        unless it competes with others. An explanation also tells what came too early, so it asks for all.
    """
    refuse_meeting_names(tasks, log.impressions)
    names = tuple(n for n in log.impressions if n != c.DAY)
    taking_part = {
        rows.REPEATED: rows.repeated_keys(as_of),
        rows.FIRST: rows.first_of_repeated(as_of, names),
        rows.SHOWN: rows.shown_impressions(as_of, names, read),
    }
    if labels_only:
        taking_part[rows.WRITTEN] = rows.written_impressions(as_of, names, write)
    taking_part[rows.KNOWN] = rows.known_events(
        as_of, event_columns(tasks, log), sorted(tasks.events), events
    )
    layers = _layers(tasks, as_of, names, write)
    return LabelQuery(
        rows=taking_part,
        creditings=_credited(tasks, as_of, position=c.POSITION in names, labels_only=labels_only),
        forms=forms or {},
        layers=layers,
        final=_final(tasks, names, list(layers)[-1]),
    )


def _credited(
    tasks: TasksSpec, as_of: x.AsOf, *, position: bool, labels_only: bool
) -> dict[str, Sequence[Crediting]]:
    """Say of each task with a rule which impression an event is credited to."""
    return {
        task: creditings(tasks, task, as_of, position=position, labels_only=labels_only)
        for task in tasks.order()
        if tasks.tasks[task].rule
    }


def _final(tasks: TasksSpec, names: Sequence[str], layer: str) -> exp.Select:
    """Select the impressions' own columns, their day and every task's labels from the last layer."""
    return x.select([*x.columns((*names, c.DAY)), *status.final_columns(tasks)], x.table(layer))


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
        if column.lower() in {c.CONTRACT_VERSION, c.CONTRACT_DIGEST}:
            raise ContractError(f"The impressions' column '{column}' has a name that labels take: rename it")
        task = taken.get(column.lower().split("__", maxsplit=1)[0])
        if task is not None and (column.lower() == task.lower() or "__" in column):
            raise ContractError(
                f"The impressions' column '{column}' has a name that labels of task '{task}' take: rename it"
            )


def _layers(
    tasks: TasksSpec, as_of: x.AsOf, names: Sequence[str], write: Sequence[rows.DayRange] | None
) -> dict[str, exp.Query]:
    layers: dict[str, exp.Query] = {"facts": _facts(tasks, names, write)}
    for n, level in enumerate(status.levels(tasks)):
        layers[f"statuses_{n}"] = _on_top(layers, status.status_columns(tasks, level, as_of))
        layers[f"labels_{n}"] = _on_top(layers, status.label_columns(tasks, level))
    return layers


def _on_top(layers: Mapping[str, exp.Query], expressions: Iterable[exp.Expr]) -> exp.Select:
    return x.select([exp.Star(), *expressions], x.table(list(layers)[-1]))


def _facts(tasks: TasksSpec, names: Sequence[str], write: Sequence[rows.DayRange] | None) -> exp.Select:
    day = x.alias(utc_day(x.column(c.SHOWN_AT, rows.SHOWN)), c.DAY)
    facts, joins = [*x.columns(names, rows.SHOWN), day], []
    for task in tasks.order():
        if tasks.tasks[task].rule:
            facts += _facts_of(tasks.tasks[task], task)
            joins += [credit_joins(tasks, task)[-1], *exclusion_joins(tasks, task)]
    days = [rows.in_days(c.SHOWN_AT, write, rows.SHOWN)] if write is not None else []
    return x.select(facts, x.table(rows.SHOWN), joins=joins, left=True, where=days)


def _facts_of(task: TaskSpec, name: str) -> Iterator[exp.Expr]:
    if task.positive:
        yield x.alias(x.column(AT, credited(name)), status.credit(name))
    else:
        yield x.alias(x.column(AMOUNT, credited(name)), status.amount(name))
    if task.observed_when and task.observed_when.event:
        answered = exp.Nullif(this=x.column(ANSWERED, credited(name)), expression=x.integer(0))
        yield x.alias(answered, status.answer(name))
    for k in range(len(task.exclude)):
        yield x.alias(x.column(AT, excluded(name, k)), status.out(name, k))
