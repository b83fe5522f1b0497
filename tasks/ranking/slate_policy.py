"""The slate policy as the decision reads it: frozen, from the contract's canonical JSON.

Mappings (caps, minimums) are put in order of their names, as in ``policy.py``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

_FIELDS: Final = {
    "length": "length",
    "max_per": "max_per",
    "max_where": "max_where",
    "min_where_if_available": "min_where",
}
"""The fields of ``slate.yaml`` that a context may replace, with their names here."""


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

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of the candidates that the policy reads, by name."""
        read = {*self.max_per, *self.max_where, *self.min_where}
        read |= {self.required_first} if self.required_first else set()
        read |= {rule.by for rule in (self.diversity, self.decay) if rule}
        return tuple(sorted(read))

    def overridden(self, content: Mapping[str, Any]) -> "SlatePolicy":
        """Return the policy with the fields that a context gives in place of its own.

        Examples
        --------
        >>> SlatePolicy("feed", 1, 20, {"creator": 2}, {}, {}).overridden({"length": 8}).length
        8
        """
        given: dict[str, Any] = {
            _FIELDS[name]: dict(sorted(value.items())) if isinstance(value, Mapping) else value
            for name, value in content.items()
        }
        return replace(self, **given)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "SlatePolicy":
        """Read the canonical content of ``slate.yaml``."""
        diversity, decay = content.get("diversity"), content.get("decay")
        return cls(
            policy=content["policy"],
            version=content["version"],
            length=content["length"],
            max_per=dict(sorted(content.get("max_per", {}).items())),
            max_where=dict(sorted(content.get("max_where", {}).items())),
            min_where=dict(sorted(content.get("min_where_if_available", {}).items())),
            required_first=content.get("required_first"),
            diversity=Diversity(diversity["by"], float(diversity["strength"])) if diversity else None,
            decay=Decay(decay["by"], float(decay["factor"]), float(decay["floor"])) if decay else None,
        )
