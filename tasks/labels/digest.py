"""The identity of a label snapshot: contract digest + as-of + content digest.

The content digest is the sum, over the rows, of the md5 of a row's text, read as a little-endian number; so
it does not depend on the order of the rows or on the files. It is computed over the files that were
written, whichever engine wrote them. A row's text joins with ``|``: request_id, item_id, then for each task
the label, the first letter of its status, and the microseconds of the crediting event (nothing where null;
doubles with 17 significant digits), then the engine's hash of the other columns, so that features that were
corrected make another snapshot.
"""

import hashlib
from collections.abc import Iterator, Sequence
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
    key = [x.cast(column, "VARCHAR") for column in x.columns(c.IMPRESSION_KEY)]
    labels = [x.coalesce(part, x.text("")) for part in _labels(tasks)]
    others = x.call("HASH", *x.columns(n for n in names if n not in c.IMPRESSION_KEY))
    return x.call("MD5_NUMBER", x.call("CONCAT_WS", x.text("|"), *key, *labels, others))


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


def _labels(tasks: TasksSpec) -> Iterator[exp.Expr]:
    for name, task in tasks.tasks.items():
        label = x.column(name)
        binary = task.kind == "binary"
        yield x.cast(label, "VARCHAR") if binary else x.call("PRINTF", x.text("%.17g"), label)
        yield x.call("LEFT", x.column(c.status(name)), x.integer(1))
        if task.positive:
            yield x.cast(x.call("EPOCH_US", x.column(c.at(name))), "VARCHAR")
