"""The identity of a label snapshot: contract digest + as-of + content digest.

The content digest is the sum, over the rows, of the md5 of a row's text, read as a little-endian number; so
it does not depend on the order of the rows or on the files. It is computed over the files that were
written, whichever engine wrote them. A row's text joins by ``|``, leaving out nulls: request_id, item_id;
for each task 1 or 0 of an observed label, else the first letter of the status; for each task the
microseconds of the crediting event, or the value with 17 significant digits; the engine's hash of all other
columns, so that features that were corrected make another snapshot.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlglot import exp

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.labels import expressions as x

_MODULUS = 1 << 128


def row_digest(tasks: TasksSpec, names: Sequence[str]) -> exp.Expr:
    """Return the DuckDB expression of a row's digest, a number of 128 bits.

    Parameters
    ----------
    names
        The impressions' columns.
    """
    contracts = tasks.tasks.items()
    codes = [_code(name) for name, task in contracts if task.kind == "binary"]
    codes += [_letter(name) for name, task in contracts if task.kind == "value"]
    details = [_at(name) for name, task in contracts if task.positive]
    details += [_amount(name) for name, task in contracts if task.kind == "value"]
    others = x.call("HASH", *x.columns(n for n in names if n not in c.IMPRESSION_KEY))
    parts = (x.text("|"), *x.columns(c.IMPRESSION_KEY), *codes, *details, others)
    return x.call("MD5_NUMBER", x.call("CONCAT_WS", *parts))


def add(left: int, right: int) -> int:
    """Add two sums of digests."""
    return (left + right) % _MODULUS


def content_digest(rows: int, total: int) -> str:
    """Return the digest of a snapshot's rows."""
    return hashlib.sha256(f"{rows}:{total}".encode()).hexdigest()


def snapshot_id(contract: str, as_of: datetime, content: str) -> str:
    """Return the name of a snapshot: equal where contract, as-of and content are."""
    text = f"{contract}|{as_of.astimezone(UTC).isoformat()}|{content}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _code(task: str) -> exp.Expr:
    branches = [(x.same(x.column(task), x.integer(n)), x.text(n)) for n in (0, 1)]
    return x.case(branches, _letter(task))


def _letter(task: str) -> exp.Expr:
    return x.call("LEFT", x.column(c.status(task)), x.integer(1))


def _at(task: str) -> exp.Expr:
    return x.call("EPOCH_US", x.column(c.at(task)))


def _amount(task: str) -> exp.Expr:
    return x.call("PRINTF", x.text("%.17g"), x.column(task))
