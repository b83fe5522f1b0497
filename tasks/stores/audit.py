"""The audit of a surface: one row per alias update, approval, rejection and approval timeout.

::

    audit/<surface>/                     a Delta table; each commit appends one row
    audit/<surface>.set-aside-<time>/    an audit that could not be read or verified

    row 0   seal 0 = sha256(row 0)       row 1   seal 1 = sha256(row 1, seal 0)       ...

Rows are numbered without gaps and never rewritten. A commit is refused if another writer was first. Each row
is sealed with a digest of itself and of the previous seal, so changed, removed, added and reordered rows
break the chain. MLflow stores the seal of the newest row too, so rows cannot be cut off, resealed or added to
the table alone. The functions at the end return the current and the former champions.

MLflow tags name rows of the audit, signed if EQUIPOISE_AUDIT_KEY is set.

::

    equipoise.audit               the newest row, or that the audit has no row yet
    equipoise.audit.next.<seal>   a row about to be added; removed once a later row is the newest

    value   <number> <seal>                                                     without a key
            <number> <seal> HMAC-SHA256(key, "<model> <number> <seal>")         with a key

A row is valid if one of these tags names it: the chain covers every row up to the newest one, and a later row
was announced before it was added. A row added only to the table is therefore invalid. With a key, only signed
tags are valid, and a process without the key cannot add rows. An older table restored together with its tags
is not detected.
"""

import hmac
import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from os import R_OK, access
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from tasks.contracts import digest
from tasks.contracts.gates import UserPool
from tasks.contracts.slate import Boosts
from tasks.errors import ContractError, Overtaken, StoreError
from tasks.stores import delta
from tasks.stores.location import Location, listing

HEAD: Final = "equipoise.audit"
NEXT: Final = "equipoise.audit.next."
_BEGUN: Final = "0" * 64
_TAG: Final = re.compile(r"(-1|[0-9]{1,9}) ([0-9a-f]{64})(?: ([0-9a-f]{64}))?")


@dataclass(frozen=True)
class AuditHead:
    """A row as a tag names it; number -1 stands for an audit without rows."""

    number: int
    seal: str
    signature: str | None = None

    @classmethod
    def of(cls, model: str, number: int, seal: str, *, key: bytes | None) -> "AuditHead":
        """Return the tag value of a row, signed if there is a key.

        Examples
        --------
        >>> head = AuditHead.of("feed.release", 3, "a" * 64, key=b"k" * 32)
        >>> head.is_signed("feed.release", key=b"k" * 32), head.is_signed("other.release", key=b"k" * 32)
        (True, False)
        """
        if key is None:
            return cls(number, seal)
        signed = hmac.new(key, f"{model} {number} {seal}".encode(), sha256).hexdigest()
        return cls(number, seal, signed)

    @classmethod
    def begun(cls, model: str, *, key: bytes | None) -> "AuditHead":
        """Return the tag value of an audit before its first row."""
        return cls.of(model, -1, _BEGUN, key=key)

    @classmethod
    def read(cls, text: str) -> "AuditHead | None":
        """Parse a tag; None if it names no row."""
        found = _TAG.fullmatch(text)
        return None if found is None else cls(int(found[1]), found[2], found[3])

    def __str__(self) -> str:
        return " ".join(filter(None, (str(self.number), self.seal, self.signature)))

    def is_signed(self, model: str, *, key: bytes) -> bool:
        """Return whether it is signed with this key."""
        expected = self.of(model, self.number, self.seal, key=key).signature or ""
        return hmac.compare_digest(self.signature or "", expected)

    def names(self, seals: Sequence[str]) -> bool:
        """Return whether it names one of the rows with these seals, or an empty audit."""
        if self.number < 0:
            return self.seal == _BEGUN
        return self.number < len(seals) and seals[self.number] == self.seal


@dataclass(frozen=True)
class AuditHeads:
    """The tags of a registered model that name rows of its audit.

    Parameters
    ----------
    newest : value of `HEAD`; None without a valid tag.
    announced : values of the tags `NEXT`, by tag.
    """

    newest: AuditHead | None
    announced: Mapping[str, AuditHead]

    @classmethod
    def read(cls, tags: Mapping[str, str]) -> "AuditHeads":
        """Read the tags of a registered model."""
        found = {tag: AuditHead.read(text) for tag, text in tags.items() if tag.startswith(NEXT)}
        return cls(AuditHead.read(tags.get(HEAD, "")), {tag: head for tag, head in found.items() if head})

    def find_unnamed_row(self, seals: Sequence[str]) -> int | None:
        """Return the first of the rows with these seals that no tag names, or None."""
        first = 0 if self.newest is None else self.newest.number + 1
        named = {(head.number, head.seal) for head in self.announced.values()}
        rows = range(first, len(seals))
        return next((number for number in rows if (number, seals[number]) not in named), None)

    def signed(self, model: str, *, key: bytes | None) -> "AuditHeads":
        """Return the tags signed with a key; all of them without a key."""
        if key is None:
            return self
        newest = self.newest if self.newest and self.newest.is_signed(model, key=key) else None
        signed = {tag: head for tag, head in self.announced.items() if head.is_signed(model, key=key)}
        return AuditHeads(newest, signed)


def announcement(seal: str) -> str:
    """Return the name of the tag that announces a row."""
    return f"{NEXT}{seal[:16]}"


_ATTEMPTS: Final = 20
_ROW: Final = re.compile(r"([0-9]{1,9}) ([0-9a-f]{64})")
_NAMES: Final = ("by", "role")
_TEXTS: Final = ("why", "experiment", "waiver")
_NOT_SHOWN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories of characters that terminals interpret or hide: controls, text direction, line ends."""
NOBODY: Final = "nobody"
"""Value of ``by`` in the row of an approval that timed out."""


class Kind(StrEnum):
    """The kind of a row."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"
    CANARY = "canary"
    WITHDRAW = "withdraw"
    RAMPED = "ramped"
    """The last stage of a ramp showed no harm, so the canary may become champion."""
    APPROVE = "approve"
    REJECT = "reject"
    TIME_OUT = "time-out"
    EXPOSURE = "exposure"
    """Monitoring changed the exposure boosts of a slate policy's groups."""
    PRUNE = "prune"
    """`equipoise prune` removed expired state; the release is the newest at that time."""
    RESTART = "restart"
    """A person started a new audit, since older rows were lost, altered or unsigned."""


MOVES: Final = frozenset({Kind.PROMOTE, Kind.ROLLBACK})
ALIAS_MOVES: Final = MOVES | {Kind.CANARY, Kind.WITHDRAW}


@dataclass(frozen=True)
class Entry:
    """One row.

    Parameters
    ----------
    by : who updated the alias or answered; `NOBODY` after a timeout.
    release : the new champion or canary, or the subject of the answer; for a restart, the newest version at
        that time.
    champion : the version that was champion, None without one.
    evidence : digest of the gates' evidence; None for a rollback, which needs none.
    role : the role of an answer or of a timeout.
    number, at : position and time, set when the row is added; a simulation sets the time.
    experiment, waiver : the justification of changed tasks or policies.
    run : the Airflow run; empty for the command line.
    sha256, champion_sha256 : digests of both releases' files.
    loosened : gates, base rates and reviewers that are less strict than when the release was built.
    override : why failed gates were overridden, by which role, and their outcomes.
    share : share of its pool's users that a canary serves.
    pool : the pool in which a canary ramps, JSON of `UserPool`; None for all users.
    signed : who approved a promotion for which role, or who signed it alone; None in other rows.
    replaces : the audit that was set aside before this row started a new one, and why.
    boosts : exposure boosts, JSON by column and value.
    seal : digest of this row and of the previous seal.
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
    pool: str | None = None
    replaces: str | None = None
    boosts: str | None = None
    seal: str | None = None

    @property
    def moves(self) -> bool:
        """Whether the row updated the alias ``champion``."""
        return self.kind in MOVES

    @property
    def sets_alias(self) -> bool:
        """Whether the row updated any alias; a canary update leaves the champion unchanged."""
        return self.kind in ALIAS_MOVES

    @property
    def served(self) -> str:
        """The share of users that a canary serves, in words; empty in other rows."""
        return "" if self.share is None else f"{100 * self.share:.3g}% of {UserPool.of(self.pool).words}"

    def to_json(self) -> dict[str, Any]:
        """Return the output of `equipoise release history`."""
        plain = asdict(self)
        plain["at"] = None if self.at is None else self.at.isoformat().replace("+00:00", "Z")
        plain["from"], plain["to"] = plain.pop("champion"), plain.pop("release")
        for name in ("boosts", "pool"):
            if plain[name] is None:
                del plain[name]
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
        pa.field("pool", pa.string()),
        pa.field("replaces", pa.string()),
        pa.field("boosts", pa.string()),
        pa.field("seal", pa.string()),
    ]
)


@dataclass(frozen=True)
class Audit:
    """The audit of one surface; ``root`` is the folder of the home's tables."""

    root: Location
    surface: str

    @property
    def path(self) -> Location:
        """The table."""
        return self.root / "audit" / self.surface

    def entries(self) -> tuple[Entry, ...]:
        """Return every row, oldest first."""
        return self.read()[1]

    def read(self) -> tuple[int | None, tuple[Entry, ...]]:
        """Return the table's version, None without a table, and its rows, oldest first."""
        version = delta.version_of(self.path)
        rows = [] if version is None else delta.read(self.path, version=version).to_pylist()
        try:
            found = [Entry(**{**row, "kind": Kind(row["kind"])}) for row in rows]
            return version, tuple(sorted(found, key=lambda entry: entry.number))
        except (ValueError, TypeError, KeyError) as error:
            raise StoreError(f"The audit {self.path} holds an invalid row: {error}") from error

    def set_aside(self) -> str:
        """Rename the table, even if damaged; return its new name, or an empty string if nothing is left."""
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

    def add(
        self,
        decide: Callable[[tuple[Entry, ...]], Entry | None],
        *,
        announce: Callable[[Entry], object] = lambda _: None,
    ) -> Entry | None:
        """Add the row that ``decide`` returns, and return it with its number and time.

        Parameters
        ----------
        decide : receives every row so far, and returns the next row, or None to add none. It is called
            again if another writer was first.
        announce : receives the numbered and sealed row before it is written; rows that the registry does not
            name are invalid.
        """
        for _ in range(_ATTEMPTS):
            seen = self.read()
            if (entry := decide(seen[1])) is None:
                return None
            try:
                return self.append(entry, seen=seen, announce=announce)
            except Overtaken:
                continue
        raise StoreError(f"Others kept writing to the audit of {self.surface}: run the step again")

    def append(
        self,
        entry: Entry,
        *,
        seen: tuple[int | None, Sequence[Entry]],
        announce: Callable[[Entry], object] = lambda _: None,
    ) -> Entry:
        """Add a row and return it with its number, time and seal."""
        version, entries = seen
        numbered = replace(
            on_one_line(entry), number=len(entries), at=entry.at or datetime.now(UTC), seal=None
        )
        sealed = replace(numbered, seal=seals_of((*entries, numbered))[-1])
        announce(sealed)
        delta.append_after(self.path, pa.Table.from_pylist([asdict(sealed)], schema=SCHEMA), version=version)
        return sealed


def one_line(name: str, text: str) -> str:
    r"""Return a name or a reason on one line, without hidden characters.

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
        raise ContractError(f"'{name}' names nobody: give a name with --by NAME")
    return line


def on_one_line(entry: Entry) -> Entry:
    """Return a row with each name and reason on one line; raises as `one_line`."""
    given = {name: getattr(entry, name) for name in (*_NAMES, *_TEXTS)}
    texts: dict[str, Any] = {name: one_line(name, text) for name, text in given.items() if text is not None}
    return replace(entry, **texts)


def seal_of(entry: Entry, *, after: str) -> str:
    """Return the seal of a row.

    Examples
    --------
    >>> entry = Entry(Kind.PROMOTE, "ana", 1, None, "the first", number=0)
    >>> seal_of(entry, after="") == seal_of(replace(entry, seal="any"), after="")
    True
    >>> seal_of(entry, after="") == seal_of(replace(entry, by="sam"), after="")
    False
    """
    columns = {name: value for name, value in asdict(entry).items() if value is not None and name != "seal"}
    if entry.at is not None:
        columns["at"] = entry.at.astimezone(UTC).isoformat()
    return digest({"row": columns, "after": after})


def seals_of(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return the expected seal of each row, oldest first, computed from the stored seal of the row before."""
    seals: list[str] = []
    after = ""
    for entry in entries:
        seals.append(seal_of(entry, after=after))
        after = entry.seal or seals[-1]
    return tuple(seals)


def name_row(entries: Sequence[Entry], number: int) -> str:
    """Return the tag value that names a row."""
    return f"{number} {seals_of(entries)[number]}"


def find_row(entries: Sequence[Entry], tag: str) -> int | None:
    """Return the number of the row that a tag names, or None."""
    found = _ROW.fullmatch(tag)
    if found is None or int(found[1]) >= len(entries):
        return None
    number = int(found[1])
    return number if found[2] == seals_of(entries)[number] else None


def broken_entries(entries: Sequence[Entry]) -> dict[int, str]:
    """Return what is wrong with rows by position, oldest first; empty for an intact chain.

    Examples
    --------
    >>> first = Entry(Kind.PROMOTE, "ana", 1, None, "the first", number=0)
    >>> first = replace(first, seal=seal_of(first, after=""))
    >>> broken_entries([first]), broken_entries([replace(first, by="max")])
    ({}, {0: 'row 0, or a row before it, is not what was written'})
    """
    problems: dict[int, str] = {}
    for place, (entry, seal) in enumerate(zip(entries, seals_of(entries), strict=True)):
        if entry.number != place:
            problems[place] = f"row {entry.number} is in the place of row {place}"
        elif entry.seal != seal:
            problems[place] = f"row {place}, or a row before it, is not what was written"
    return problems


def last_move(entries: Sequence[Entry]) -> Entry | None:
    """Return the newest row that updated the champion."""
    return next((entry for entry in reversed(entries) if entry.moves), None)


def last_alias_move(entries: Sequence[Entry]) -> Entry | None:
    """Return the newest row that updated any alias, champion or canary."""
    return next((entry for entry in reversed(entries) if entry.sets_alias), None)


def last_exposure(entries: Sequence[Entry], before: datetime | None = None) -> Entry | None:
    """Return the newest row before an instant that changed exposure boosts."""
    changes = (entry for entry in reversed(entries) if entry.kind is Kind.EXPOSURE)
    return next((one for one in changes if before is None or (one.at is not None and one.at < before)), None)


def boosts_of(entry: Entry | None) -> Boosts:
    """Return the exposure boosts that a row sets; empty without a row.

    Examples
    --------
    >>> boosts_of(Entry(Kind.EXPOSURE, "monitor", 3, 3, "why", boosts='{"tier": {"new": 0.1}}'))
    {'tier': {'new': 0.1}}
    """
    boosts: Boosts = json.loads(entry.boosts) if entry is not None and entry.boosts else {}
    return boosts


@dataclass(frozen=True)
class LiveRamp:
    """A release that is ramping: a row for each stage that it reached, oldest first.

    ``ramped``: whether it passed the last stage.
    """

    stages: tuple[Entry, ...]
    ramped: bool = False

    @property
    def newest(self) -> Entry:
        """The row of the current stage."""
        return self.stages[-1]

    @property
    def pool(self) -> UserPool:
        """The users among whom the release ramps."""
        return UserPool.of(self.newest.pool)


def live_ramps(entries: Sequence[Entry]) -> dict[int, LiveRamp]:
    """Return the current ramps by release, in the order of their pools.

    An update of the champion ends every ramp, a withdrawal the ramp of its release, and a canary the ramps of
    other releases in overlapping pools.

    Examples
    --------
    >>> rows = [Entry(Kind.CANARY, "ana", 3, 2, "why", share=share) for share in (0.01, 0.05)]
    >>> [row.share for row in live_ramps([*rows, Entry(Kind.APPROVE, "ana", 3, 2, "why")])[3].stages]
    [0.01, 0.05]
    >>> live_ramps([*rows, Entry(Kind.PROMOTE, "ana", 4, 2, "why")])
    {}
    """
    live: dict[int, LiveRamp] = {}
    for entry in entries:
        if entry.moves:
            live = {}
        elif entry.kind is Kind.WITHDRAW:
            live.pop(entry.release, None)
        elif entry.kind is Kind.CANARY:
            before = live.pop(entry.release, LiveRamp(()))
            live = {n: one for n, one in live.items() if one.pool.excludes(UserPool.of(entry.pool))}
            live[entry.release] = LiveRamp((*before.stages, entry))
        elif entry.kind is Kind.RAMPED and entry.release in live:
            live[entry.release] = replace(live[entry.release], ramped=True)
        elif entry.kind is Kind.RESTART:
            live = {n: replace(one, ramped=False) for n, one in live.items()}
    return dict(sorted(live.items(), key=lambda item: item[1].pool.number))


def since_last_move(entries: Sequence[Entry], release: int) -> tuple[Entry, ...]:
    """Return the rows after the newest update of a release or of the champion, or restart.

    Earlier answers referred to other aliases.
    """
    ends = (
        e.number
        for e in entries
        if e.moves or e.kind is Kind.RESTART or (e.sets_alias and e.release == release)
    )
    last = max(ends, default=-1)
    return tuple(entry for entry in entries if entry.number > last)


def champions(entries: Sequence[Entry]) -> list[int]:
    """Return the sequence of champions; a rollback removes the releases that it undid.

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
