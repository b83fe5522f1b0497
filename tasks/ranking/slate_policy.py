"""The slate policy as the decision reads it: frozen, from the contract's canonical JSON.

Mappings (caps, minimums) are put in order of their names, as in ``policy.py``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..columns import USER_ID
from .condition import Condition


@dataclass(frozen=True)
class Diversity:
    """Utility units subtracted for each slot that a candidate's value of ``by`` already holds."""

    by: str
    strength: float


@dataclass(frozen=True)
class Decay:
    """The share (1 - floor) x factor^k + floor of its utility that the k-th item of a value keeps, from 0."""

    by: str
    factor: float
    floor: float


@dataclass(frozen=True)
class Exploration:
    """The last ``slots`` slots are drawn by a salted hash.

    Attributes
    ----------
    where : the condition on what may be drawn; None is every candidate.
    among : draws from so many of the best of these by utility; None is all.
    """

    slots: int
    where: Condition | None
    salt: str
    among: int | None = None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Exploration":
        """Read the field of ``slate.yaml``."""
        where = content.get("where")
        return cls(
            slots=content["slots"],
            where=None if where is None else Condition.from_json(where, "slate rule 'exploration'"),
            salt=content.get("salt", "exploration"),
            among=content.get("among"),
        )


@dataclass(frozen=True)
class SlateChange:
    """What a context gives in place of a slate policy's own; None leaves it."""

    length: int | None = None
    max_per: Mapping[str, int] | None = None
    max_where: Mapping[str, int] | None = None
    min_where: Mapping[str, int] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of the candidates that it reads, by name."""
        given = (self.max_per, self.max_where, self.min_where)
        return tuple(sorted({name for rule in given if rule for name in rule}))

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "SlateChange":
        """Read the fields of ``slate.yaml`` that a context holds."""
        rules = (
            None if content.get(name) is None else dict(sorted(content[name].items()))
            for name in ("max_per", "max_where", "min_where_if_available")
        )
        return cls(content.get("length"), *rules)


@dataclass(frozen=True)
class SlatePolicy:
    """How ranked candidates become a slate of ``length`` slots."""

    policy: str
    version: int
    length: int
    max_per: Mapping[str, int]
    max_where: Mapping[str, int]
    min_where: Mapping[str, int]
    required_first: str | None = None
    diversity: Diversity | None = None
    decay: Decay | None = None
    exploration: Exploration | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of the candidates that the policy reads, by name."""
        read = {*self.max_per, *self.max_where, *self.min_where}
        read |= {self.required_first} if self.required_first else set()
        read |= {rule.by for rule in (self.diversity, self.decay) if rule}
        read |= {USER_ID} if self.exploration else set()
        read |= {self.exploration.where.column} if self.exploration and self.exploration.where else set()
        return tuple(sorted(read))

    def overridden(self, change: "SlateChange") -> "SlatePolicy":
        """Return the policy with what a context gives in place of its own.

        Examples
        --------
        >>> SlatePolicy("feed", 1, 20, {"creator": 2}, {}, {}).overridden(SlateChange(length=8)).length
        8
        """
        return replace(
            self,
            length=self.length if change.length is None else change.length,
            max_per=self.max_per if change.max_per is None else change.max_per,
            max_where=self.max_where if change.max_where is None else change.max_where,
            min_where=self.min_where if change.min_where is None else change.min_where,
        )

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "SlatePolicy":
        """Read the canonical content of ``slate.yaml``."""
        diversity, decay, exploration = map(content.get, ("diversity", "decay", "exploration"))
        return cls(
            policy=content["policy"],
            version=content["version"],
            length=content["length"],
            max_per=dict(sorted(content.get("max_per", {}).items())),
            max_where=dict(sorted(content.get("max_where", {}).items())),
            min_where=dict(sorted(content.get("min_where_if_available", {}).items())),
            required_first=content.get("required_first"),
            diversity=Diversity(diversity["by"], float(diversity["strength"])) if diversity else None,
            decay=Decay(decay["by"], float(decay["factor"]), float(decay.get("floor", 0.0)))
            if decay
            else None,
            exploration=Exploration.from_json(exploration) if exploration else None,
        )
