"""Tags of MLflow that name rows of an audit, signed where the program has EQUIPOISE_AUDIT_KEY.

::

    equipoise.audit               the newest row, or that the audit has no row yet
    equipoise.audit.next.<seal>   a row that a process is about to add; removed once it is not the newest

    value   <number> <seal>                                                     without a key
            <number> <seal> HMAC-SHA256(key, "<model> <number> <seal>")         with a key

A row counts where one of these tags names it: the chain covers every row up to the newest one, and a later
row was announced before it was added. So a row that was added to the table alone counts for nothing. With a
key, only signed tags count, and a process without the key can add no row at all. An older table that is
restored together with its own tags of that time is not found.
"""

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

HEAD: Final = "equipoise.audit"
NEXT: Final = "equipoise.audit.next."
_BEGUN: Final = "0" * 64
_TAG: Final = re.compile(r"(-1|[0-9]{1,9}) ([0-9a-f]{64})(?: ([0-9a-f]{64}))?")


@dataclass(frozen=True)
class AuditHead:
    """A row as a tag names it; number -1 stands for an audit that was begun and has no row."""

    number: int
    seal: str
    signature: str | None = None

    @classmethod
    def of(cls, model: str, number: int, seal: str, *, key: bytes | None) -> "AuditHead":
        """Name a row, signed where there is a key.

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
        """Name the begin of an audit, before its first row."""
        return cls.of(model, -1, _BEGUN, key=key)

    @classmethod
    def read(cls, text: str) -> "AuditHead | None":
        """Read a tag; None where it names no row."""
        found = _TAG.fullmatch(text)
        return None if found is None else cls(int(found[1]), found[2], found[3])

    def __str__(self) -> str:
        return " ".join(filter(None, (str(self.number), self.seal, self.signature)))

    def is_signed(self, model: str, *, key: bytes) -> bool:
        """Return whether it is signed with this very key."""
        expected = self.of(model, self.number, self.seal, key=key).signature or ""
        return hmac.compare_digest(self.signature or "", expected)

    def names(self, seals: Sequence[str]) -> bool:
        """Return whether it names one of the rows with these seals, or their begin."""
        if self.number < 0:
            return self.seal == _BEGUN
        return self.number < len(seals) and seals[self.number] == self.seal


@dataclass(frozen=True)
class AuditHeads:
    """The tags of a registered model that name rows of its audit, as they were read.

    Parameters
    ----------
    newest : what `HEAD` names; None without the tag, or where it names no row.
    announced : what the tags `NEXT` name, by tag.
    """

    newest: AuditHead | None
    announced: Mapping[str, AuditHead]

    @classmethod
    def read(cls, tags: Mapping[str, str]) -> "AuditHeads":
        """Read the tags of a registered model."""
        found = {tag: AuditHead.read(text) for tag, text in tags.items() if tag.startswith(NEXT)}
        return cls(AuditHead.read(tags.get(HEAD, "")), {tag: head for tag, head in found.items() if head})

    def find_unnamed_row(self, seals: Sequence[str]) -> int | None:
        """Return the first row, of the rows with these seals, that no tag names; None where there is none."""
        first = 0 if self.newest is None else self.newest.number + 1
        named = {(head.number, head.seal) for head in self.announced.values()}
        rows = range(first, len(seals))
        return next((number for number in rows if (number, seals[number]) not in named), None)

    def signed(self, model: str, *, key: bytes | None) -> "AuditHeads":
        """Return those that are signed with a key; all of them without a key."""
        if key is None:
            return self
        newest = self.newest if self.newest and self.newest.is_signed(model, key=key) else None
        signed = {tag: head for tag, head in self.announced.items() if head.is_signed(model, key=key)}
        return AuditHeads(newest, signed)


def announcement(seal: str) -> str:
    """Return the name of the tag that announces a row."""
    return f"{NEXT}{seal[:16]}"
