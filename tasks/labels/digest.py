"""The identity of a label snapshot: contract digest + as-of + content digest.

The content digest is the sum, over the rows, of the md5 of a row's text; so it does not depend on the order
of the rows or on the files. It is computed over the files that were written, whichever engine wrote them.
A row's text joins with ``|``: request_id, item_id, then for each task label, first letter of the status, and
microseconds of the crediting event (nothing where null; doubles with 17 significant digits), then the
engine's hash of the other columns, so that features that were corrected make another snapshot.
"""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.labels import expressions as x

_MODULUS = 1 << 128


def row_digest(tasks: TasksSpec, names: Sequence[str]) -> str:
    """Return the DuckDB expression of a row's digest, a number of 128 bits.

    Parameters
    ----------
    names
        The impressions' columns.
    """
    parts = ", ".join((*_key(), *_labels(tasks)))
    others = ", ".join(_quoted(name) for name in names if name not in c.IMPRESSION_KEY)
    return f"md5_number(concat_ws('|', {parts}, hash({others})))"


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


def _key() -> Iterator[str]:
    yield from (f"{_quoted(name)}::VARCHAR" for name in c.IMPRESSION_KEY)


def _labels(tasks: TasksSpec) -> Iterator[str]:
    for name, task in tasks.tasks.items():
        label = _quoted(name)
        text = f"{label}::VARCHAR" if task.kind == "binary" else f"printf('%.17g', {label})"
        yield f"coalesce({text}, '')"
        yield f"{_quoted(c.status(name))}[1]"
        if task.positive:
            yield f"coalesce(epoch_us({_quoted(c.at(name))})::VARCHAR, '')"


def _quoted(name: str) -> str:
    return x.name(name).sql(dialect="duckdb")
