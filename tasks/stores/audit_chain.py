"""The chain of an audit's rows: each row is sealed with a digest of itself and of the seal before it.

::

    row 0   seal 0 = sha256(row 0)          row 1   seal 1 = sha256(row 1, seal 0)          ...

A row that was changed, removed, added or moved breaks the chain where it stands, or where the next seal is.
Rows of programs before this one carry no seal; the first that does covers them too. The newest seal stands in
MLflow as well (``tasks/stores/alias_moves.py``), so the chain cannot end early or be made anew unnoticed.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from tasks.contracts import digest
from tasks.stores.audit_signature import SIGNATURE

SEAL: Final = "seal"
_BESIDE: Final = frozenset({SEAL, SIGNATURE})
NUMBER: Final = "number"

Row = Mapping[str, Any]


def seal_of(row: Row, *, after: str) -> str:
    """Return the seal of a row.

    Parameters
    ----------
    row : its columns; what is None does not count, so that columns may be added.
    after : the seal of the row before; empty for the first.

    Examples
    --------
    >>> row = {"number": 0, "by": "ana", "waiver": None}
    >>> seal_of(row, after="") == seal_of({"by": "ana", "number": 0, "seal": "any"}, after="")
    True
    >>> seal_of(row, after="") == seal_of(row | {"by": "sam"}, after="")
    False
    """
    plain = {name: _plain(value) for name, value in row.items() if value is not None and name not in _BESIDE}
    return digest({"row": plain, "after": after})


def seals_of(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the seal that each row should carry; one that carries a seal is followed by what it says."""
    seals: list[str] = []
    after = ""
    for row in rows:
        seals.append(seal_of(row, after=after))
        after = row[SEAL] or seals[-1]
    return tuple(seals)


def broken_rows(rows: Sequence[Row]) -> dict[int, str]:
    """Return by place what is wrong with rows, oldest first; nothing where the chain holds.

    Examples
    --------
    >>> first = {"number": 0, "by": "ana", "seal": None}
    >>> second = {"number": 1, "by": "sam", "seal": None}
    >>> sealed = second | {"seal": seal_of(second, after=seal_of(first, after=""))}
    >>> broken_rows([first, sealed])
    {}
    >>> broken_rows([first | {"by": "max"}, sealed])
    {1: 'row 1, or a row before it, is not what was written'}
    >>> broken_rows([sealed])
    {0: 'row 1 stands in the place of row 0'}
    """
    problems: dict[int, str] = {}
    sealed = False
    for place, (row, seal) in enumerate(zip(rows, seals_of(rows), strict=True)):
        if row[NUMBER] != place:
            problems[place] = f"row {row[NUMBER]} stands in the place of row {place}"
        elif row[SEAL] is None and sealed:
            problems[place] = f"row {place} carries no seal, and a row before it does"
        elif row[SEAL] not in {None, seal}:
            problems[place] = f"row {place}, or a row before it, is not what was written"
        sealed = sealed or row[SEAL] is not None
    return problems


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
