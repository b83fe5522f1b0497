"""The audit of a surface: one row for each move of an alias and each answer, also one that never came.

::

    audit/<surface>/    a Delta table; each commit adds one row and is refused when another was first
    audit/<surface>.set-aside-<time>/    an audit that could not be read or believed any more

So nothing is ever changed, rows are numbered without a gap, and of two moves at once one is refused. Rows
(``audit_row.py``) are sealed one after the other (``audit_chain.py``), so one that was changed all the same
is found. ``audit_history.py`` reads from them who serves and who served.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from os import R_OK, access
from pathlib import Path
from typing import Final

import pyarrow as pa

from tasks.errors import Overtaken, StoreError
from tasks.settings import Settings
from tasks.stores import delta
from tasks.stores.audit_chain import broken_rows, seals_of
from tasks.stores.audit_history import last_move
from tasks.stores.audit_row import SCHEMA, Entry, Kind, on_one_line
from tasks.stores.audit_signature import sign_row
from tasks.stores.location import Location, listing

_ATTEMPTS: Final = 20


@dataclass(frozen=True)
class Audit:
    """The audit of one surface; ``root`` is where the home's tables lie."""

    root: Location
    surface: str

    @property
    def path(self) -> Location:
        """The table."""
        return self.root / "audit" / self.surface

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
        numbered = replace(
            on_one_line(entry), number=len(entries), at=datetime.now(UTC), seal=None, signature=None
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
