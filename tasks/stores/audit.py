"""The audit of a surface: one row for each move of an alias and each answer, also one that never came.

::

    audit/<surface>/    a Delta table; each commit adds one row and is refused when another was first
    audit/<surface>.set-aside-<time>/    an audit that could not be read or believed any more

So nothing is ever changed, rows are numbered without a gap, and of two moves at once one is refused. Rows are
sealed one after the other (``tasks/stores/audit_chain.py``), so a row that was changed all the same is found.
"""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from os import R_OK, access
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from tasks.errors import ContractError, Overtaken, StoreError
from tasks.settings import Settings
from tasks.stores import delta
from tasks.stores.audit_chain import broken_rows, seals_of
from tasks.stores.audit_signature import sign_row
from tasks.stores.location import Location, listing, store_of


class Kind(StrEnum):
    """What happened."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"
    CANARY = "canary"
    WITHDRAW = "withdraw"
    APPROVE = "approve"
    REJECT = "reject"
    TIME_OUT = "time-out"


_ATTEMPTS: Final = 20
_NAMES: Final = ("by", "role")
_TEXTS: Final = ("why", "experiment", "waiver")
_NOT_SHOWN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories of characters that a terminal obeys or hides: controls, marks of direction, line ends."""
MOVES: Final = frozenset({Kind.PROMOTE, Kind.ROLLBACK})
ALIAS_MOVES: Final = MOVES | {Kind.CANARY, Kind.WITHDRAW}
ANSWERS: Final = frozenset({Kind.APPROVE, Kind.REJECT})
NOBODY: Final = "nobody"
"""By whom a role was answered for whose time for an answer passed."""


@dataclass(frozen=True)
class Entry:
    """One row.

    Parameters
    ----------
    by : who moved the alias or gave the answer; `NOBODY` where the time for it passed.
    release : the version that becomes champion or canary, or that the answer is about.
    champion : the version that was champion, None where there was none.
    evidence : digest of what the gates rest on; None for a rollback, which needs none.
    role : for which role an answer was given or awaited.
    number, at : its place and time, known once it was added.
    experiment, waiver : what supports changed tasks or policies.
    run : the Airflow run that it belongs to; empty for the command line.
    sha256, champion_sha256 : digests of both releases' files; None in rows of programs before this one.
    loosened : the gates, base rates and reviewers that let more through than when the release was made.
    override : why gates that held the release were overridden, by which role, and their verdicts.
    share : of the traffic, that a canary serves.
    signed : who approved a promotion for which role, or who signed it alone; None in other and older rows.
    replaces : the audit that was set aside before this row began a new one, and why.
    seal : digest of this row and of the seal before it.
    signature : of the seal, where its writer had the key.
    """

    kind: Kind
    by: str
    release: int
    champion: int | None
    why: str
    evidence: str | None = None
    role: str | None = None
    experiment: str | None = None
    waiver: str | None = None
    run: str = ""
    number: int = -1
    at: datetime | None = None
    sha256: str | None = None
    champion_sha256: str | None = None
    loosened: str | None = None
    signed: str | None = None
    override: str | None = None
    share: float | None = None
    replaces: str | None = None
    seal: str | None = None
    signature: str | None = None

    @property
    def moves(self) -> bool:
        """Whether it moved the alias ``champion``."""
        return self.kind in MOVES

    @property
    def sets_alias(self) -> bool:
        """Whether it moved any alias: also the canary, which leaves the champion as it is."""
        return self.kind in ALIAS_MOVES

    def to_json(self) -> dict[str, Any]:
        """Return what `equipoise release history` prints."""
        plain = asdict(self)
        plain["at"] = None if self.at is None else self.at.isoformat().replace("+00:00", "Z")
        plain["from"], plain["to"] = plain.pop("champion"), plain.pop("release")
        first = ("number", "at", "kind", "from", "to", "by", "why")
        return {name: plain[name] for name in (*first, *(n for n in plain if n not in first))}


SCHEMA: Final = pa.schema(
    [
        pa.field("number", pa.int64(), nullable=False),
        pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("by", pa.string(), nullable=False),
        pa.field("release", pa.int64(), nullable=False),
        pa.field("champion", pa.int64()),
        pa.field("why", pa.string(), nullable=False),
        pa.field("evidence", pa.string()),
        pa.field("role", pa.string()),
        pa.field("experiment", pa.string()),
        pa.field("waiver", pa.string()),
        pa.field("run", pa.string(), nullable=False),
        pa.field("sha256", pa.string()),
        pa.field("champion_sha256", pa.string()),
        pa.field("loosened", pa.string()),
        pa.field("signed", pa.string()),
        pa.field("override", pa.string()),
        pa.field("share", pa.float64()),
        pa.field("replaces", pa.string()),
        pa.field("seal", pa.string()),
        pa.field("signature", pa.string()),
    ]
)


@dataclass(frozen=True)
class Audit:
    """The audit of one surface below a home."""

    home: Path
    surface: str

    @property
    def path(self) -> Location:
        """The table."""
        return store_of(self.home) / "audit" / self.surface

    def entries(self) -> tuple[Entry, ...]:
        """Return every row, oldest first."""
        return self.read()[1]

    def last_move(self) -> Entry | None:
        """Return the newest move of the champion, None where there was none."""
        return last_move(self.entries())

    def read(self) -> tuple[int | None, tuple[Entry, ...]]:
        """Return the table's version, None where there is no table, and its rows, oldest first.

        Raises
        ------
        StoreError
            The table or a row of it cannot be read.
        """
        version = delta.version_of(self.path)
        rows = [] if version is None else delta.read(self.path, version=version).to_pylist()
        try:
            found = [Entry(**{**row, "kind": Kind(row["kind"])}) for row in rows]
            return version, tuple(sorted(found, key=lambda entry: entry.number))
        except (ValueError, TypeError, KeyError) as error:
            raise StoreError(f"The audit {self.path} holds a row that no program wrote: {error}") from error

    def set_aside(self) -> str:
        """Move the table out of the way, whatever is left of it; return its new name, empty where nothing is.

        Raises
        ------
        StoreError
            It lies in an object store, or a file of it may not be read: it may be whole all the same.
        """
        if not listing(self.path, "**/*"):
            return ""
        if not isinstance(self.path, Path):
            raise StoreError(
                f"An object store renames no folder: move {self.path} away by its own tools, then roll back"
            )
        if locked := [file for file in (self.path, *self.path.rglob("*")) if not access(file, R_OK)]:
            raise StoreError(f"{locked[0]} may not be read by this user and may be whole: nothing moved")
        aside = self.path.with_name(f"{self.surface}.set-aside-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
        self.path.rename(aside)
        return aside.name

    def add(self, decide: Callable[[tuple[Entry, ...]], Entry | None]) -> Entry | None:
        """Add the row that is decided on, and return it with its number and time.

        Parameters
        ----------
        decide : sees every row so far, and returns the next one, or None where there is nothing to add. It is
            asked anew when another writer was first.

        Raises
        ------
        StoreError
            Others kept being first.
        """
        for _ in range(_ATTEMPTS):
            seen = self.read()
            if (entry := decide(seen[1])) is None:
                return None
            try:
                return self.append(entry, seen=seen)
            except Overtaken:
                continue
        raise StoreError(f"Others kept writing to the audit of {self.surface}: run the step again")

    def append(self, entry: Entry, *, seen: tuple[int | None, Sequence[Entry]]) -> Entry:
        """Add a row and return it with its number and time.

        Parameters
        ----------
        seen : what the writer has read, and decided by.

        Raises
        ------
        Overtaken
            Another row was added since: nothing was written.
        ContractError
            A name or a reason is empty or would not be shown as it is.
        """
        version, entries = seen
        given = {name: getattr(entry, name) for name in (*_NAMES, *_TEXTS)}
        texts: dict[str, Any] = {n: one_line(n, text) for n, text in given.items() if text is not None}
        numbered = replace(
            entry, **texts, number=len(entries), at=datetime.now(UTC), seal=None, signature=None
        )
        seal, key = entry_seals((*entries, numbered))[-1], Settings().audit_key
        sealed = replace(numbered, seal=seal, signature=sign_row(seal, key=key) if key else None)
        row = pa.Table.from_pylist([asdict(sealed)], schema=SCHEMA)
        delta.append_after(self.path, row, version=version)
        return sealed


def entry_seals(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return the seal that each row should carry, oldest first."""
    return seals_of([asdict(entry) for entry in entries])


def broken_entries(entries: Sequence[Entry]) -> dict[int, str]:
    """Return by place what is wrong with rows, oldest first; nothing where they are what was written."""
    return broken_rows([asdict(entry) for entry in entries])


def one_line(name: str, text: str) -> str:
    r"""Return a name or a reason as a row keeps it: on one line, with all that it holds in sight.

    Raises
    ------
    ContractError
        It holds what a terminal obeys or hides, or nobody is named: it would look like another row.

    Examples
    --------
    >>> one_line("why", "returns\nrose")
    'returns rose'
    >>> one_line("by", "ana\n   3  promote")
    Traceback (most recent call last):
    ...
    tasks.errors.ContractError: 'by' holds the character '\n', which a history does not show. Leave it out
    """
    line = text.strip() if name in _NAMES else " ".join(text.split())
    if hidden := next((sign for sign in line if unicodedata.category(sign) in _NOT_SHOWN), None):
        raise ContractError(
            f"'{name}' holds the character {hidden!r}, which a history does not show. Leave it out"
        )
    if not line and name in _NAMES:
        raise ContractError(f"'{name}' names nobody: say who it is (--by NAME)")
    return line


def last_move(entries: Sequence[Entry]) -> Entry | None:
    """Return the newest of some rows that moved the champion."""
    return next((entry for entry in reversed(entries) if entry.moves), None)


def last_alias_move(entries: Sequence[Entry]) -> Entry | None:
    """Return the newest of some rows that moved an alias, be it the champion or the canary."""
    return next((entry for entry in reversed(entries) if entry.sets_alias), None)


def live_canary(entries: Sequence[Entry]) -> Entry | None:
    """Return the row of the canary that serves now; whatever else moves an alias ends it.

    Examples
    --------
    >>> rows = [Entry(kind, "ana", 3, 2, "why") for kind in (Kind.CANARY, Kind.APPROVE, Kind.PROMOTE)]
    >>> [entry and entry.kind.value for entry in (live_canary(rows[:2]), live_canary(rows))]
    ['canary', None]
    """
    move = last_alias_move(entries)
    return move if move is not None and move.kind is Kind.CANARY else None


def since_last_move(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Return the rows after the newest move: what was answered before it was about other aliases."""
    move = last_alias_move(entries)
    return tuple(entries if move is None else (entry for entry in entries if entry.number > move.number))


def champions(entries: Sequence[Entry]) -> list[int]:
    """Return the releases that came to serve one after the other; a rollback takes back what it undid.

    Examples
    --------
    >>> moves = [(Kind.PROMOTE, 1), (Kind.PROMOTE, 2), (Kind.ROLLBACK, 1), (Kind.PROMOTE, 3)]
    >>> champions([Entry(kind, "ana", release, None, "why") for kind, release in moves])
    [1, 3]
    """
    served: list[int] = []
    for entry in entries:
        if not entry.moves:
            continue
        if entry.kind is Kind.ROLLBACK and entry.release in served:
            del served[served.index(entry.release) :]
        served.append(entry.release)
    return served
