"""One row of the audit: what happened, by whom and why, on what evidence; and what a row may say.

A name or a reason stands on one line of a history, so what would look like another row is refused.
"""

import unicodedata
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import pyarrow as pa

from tasks.errors import ContractError


class Kind(StrEnum):
    """What happened."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"
    CANARY = "canary"
    WITHDRAW = "withdraw"
    APPROVE = "approve"
    REJECT = "reject"
    TIME_OUT = "time-out"


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


def on_one_line(entry: Entry) -> Entry:
    """Return a row with each name and reason on one line; raises as `one_line`."""
    given = {name: getattr(entry, name) for name in (*_NAMES, *_TEXTS)}
    texts: dict[str, Any] = {name: one_line(name, text) for name, text in given.items() if text is not None}
    return replace(entry, **texts)
