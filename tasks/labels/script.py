"""What ``labels sql`` prints: one statement, and above it whose labels they are and what it needs."""

from sqlglot import exp

from tasks import columns as c
from tasks.contracts import Contracts
from tasks.contracts.durations import format_duration
from tasks.labels.compile import labels_sql
from tasks.labels.query import Horizon
from tasks.labels.windows import ARRIVED
from tasks.logs.rows import EVENTS, IMPRESSIONS
from tasks.logs.schema import contract_log

_HEAD = """\
-- Labels of {surface}, as the contract {contract}, version {version}, defines them
-- (digest {digest}).
--
-- {as_of} is the instant of the build, a time with a zone: an impression takes part that was shown before it,
-- an event that had happened before it and, where {ingested_at} says when, had arrived. {arrived} is the
-- instant up to which the log had arrived by then: {as_of} itself, where the newest known row of both tables
-- lies less than {within} before it (`arrival`), else that row's time. What is not mature by then has the
-- status immature and no label.
-- Reads the tables {impressions} and {events}, under the column names of the contracts. The session's time
-- zone must be UTC: days are UTC days.
"""


def labels_script(contracts: Contracts, dialect: str = "duckdb") -> str:
    """Write the SQL of a surface's labels for a dialect, with a head of comments.

    Raises
    ------
    ContractError
        The dialect is not known.
    """
    tasks, log = contracts.tasks, contract_log(contracts.surface, contracts.tasks)
    sql = labels_sql(tasks, Horizon.whole(None), dialect, log=log)
    head = _HEAD.format(
        surface=contracts.surface.surface,
        contract=tasks.contract,
        version=tasks.version,
        digest=contracts.digests["tasks"],
        as_of=exp.Placeholder(this="as_of").sql(dialect=dialect),
        arrived=exp.Placeholder(this=ARRIVED).sql(dialect=dialect),
        within=format_duration(contracts.surface.arrival.within),
        ingested_at=c.INGESTED_AT,
        impressions=IMPRESSIONS,
        events=EVENTS,
    )
    return head + sql
