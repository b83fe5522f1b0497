"""The certificate of every slate: the rules that it meets, and why it falls short of the others.

It is computed from the finished slate, independently of the kernel. Rules are listed in the order in which
they claim slots (``slate.py``)::

    max_per, max_where        are never broken; candidates excluded by a full cap are counted below
    required_first            may fall short, each in favour of all rules above it
    min_where_if_available
    exploration               slots that were drawn
    length

``available`` counts the candidates for a rule that passed constraints and floors, ``dropped`` the others.
Available candidates without a slot were excluded by full caps, or by the length if the slate is full; a
candidate excluded by two rules counts for both.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..columns import REQUEST_ID
from .candidates import CandidateSets, Integers, Mask
from .rules import EXPLORATION, LENGTH, SlateColumns

REQUIREMENT = "requirement"
WANTED = "wanted"
GOT = "got"
AVAILABLE = "available"
_COUNTS = (WANTED, GOT, AVAILABLE)


@dataclass(frozen=True)
class DecidedSlates:
    """The rules of one slate policy with the requests that it applies to, shape [requests]."""

    rules: SlateColumns
    among: Mask


@dataclass(frozen=True)
class RuleCounts:
    """Requirement and result of one rule for each request, arrays of shape [requests].

    Attributes
    ----------
    decides : whether the rule is in the request's slate policy.
    wanted : required slots; for a cap, the maximum.
    got : slots that meet the rule; for a cap, the most slots of one value.
    available : candidates that passed constraints and meet the rule; for a cap, those that it counts.
    dropped : dropped candidates that would meet the rule.
    kept_out : rule -> available candidates without a slot that this rule excludes.
    at_most : whether the rule is a cap.
    """

    name: str
    decides: Mask
    wanted: Integers
    got: Integers
    available: Integers
    dropped: Integers
    kept_out: Mapping[str, Integers]
    at_most: bool = False

    @cached_property
    def unmet(self) -> Mask:
        """The requests whose slate falls short of the rule."""
        short = self.got > self.wanted if self.at_most else self.got < self.wanted
        return self.decides & short


@dataclass(frozen=True)
class Certificates:
    """The rules of every request's slate with their results, in the order in which rules claim slots."""

    request_ids: npt.NDArray[np.object_]
    rules: tuple[RuleCounts, ...]

    @property
    def unmet(self) -> pd.DataFrame:
        """request_id, requirement, wanted, got, available; one row per unmet rule."""
        parts = [
            pd.DataFrame(
                {
                    REQUEST_ID: self.request_ids[rule.unmet],
                    REQUIREMENT: pd.Series([rule.name] * int(rule.unmet.sum()), dtype="str"),
                    **{name: getattr(rule, name)[rule.unmet] for name in _COUNTS},
                }
            )
            for rule in self.rules
        ]
        return pd.concat(parts, ignore_index=True)

    def describe(self, request: int) -> list[dict[str, object]]:
        """Return the unmet rules of one request, by its code: plain JSON, in order."""
        return [
            {
                "rule": rule.name,
                **{name: int(getattr(rule, name)[request]) for name in (*_COUNTS, "dropped")},
                "kept_out": {
                    name: int(counts[request]) for name, counts in rule.kept_out.items() if counts[request]
                },
            }
            for rule in self.rules
            if rule.unmet[request]
        ]

    def texts(self) -> npt.NDArray[np.object_]:
        """Return each request's certificate as JSON: names of met rules, and details of the others."""
        texts = np.empty(len(self.request_ids), dtype=object)
        if not len(texts):
            return texts
        decides = np.stack([rule.decides for rule in self.rules])
        unmet = np.stack([rule.unmet for rule in self.rules])
        whole = ~unmet.any(axis=0)
        patterns, which = np.unique(decides, axis=1, return_inverse=True)
        for code in range(patterns.shape[1]):
            texts[whole & (which == code)] = self._text(patterns[:, code], [])
        for request in np.flatnonzero(~whole):
            met = decides[:, request] & ~unmet[:, request]
            texts[request] = self._text(met, self.describe(int(request)))
        return texts

    def _text(self, met: Mask, unmet: list[dict[str, object]]) -> str:
        names = [rule.name for rule, holds in zip(self.rules, met, strict=True) if holds]
        return json.dumps({"met": names, "unmet": unmet}, separators=(",", ":"))


def certify(
    slates: Sequence[DecidedSlates],
    sets: CandidateSets,
    *,
    kept: Mask,
    position: npt.NDArray[np.int32],
    drawn: Mask,
) -> Certificates:
    """Check every slate with the rules of its policy.

    Parameters
    ----------
    slates : each policy's rules, and the requests that it applies to.
    kept : [rows] candidates that passed constraints and floors.
    position : [rows] slot from 1; 0 for candidates off the slate.
    drawn : [rows] candidates that exploration drew.

    Examples
    --------
    >>> frame = pd.DataFrame({"request_id": ["r"] * 3, "item_id": list("abc"), "by": ["ana", "ana", "bo"]})
    >>> from tasks.contracts import SlateSpec
    >>> policy = SlateSpec(policy="s", version=1, length=3, max_per={"by": 1})
    >>> slates = [DecidedSlates(SlateColumns.of(frame, policy), np.ones(1, bool))]
    >>> position, kept = np.array([1, 0, 2], np.int32), np.ones(3, bool)
    >>> sets, drawn = CandidateSets.of(frame), np.zeros(3, bool)
    >>> certify(slates, sets, kept=kept, position=position, drawn=drawn).describe(0)
    [{'rule': 'length', 'wanted': 3, 'got': 2, 'available': 3, 'dropped': 0, 'kept_out': {'max_per:by': 1}}]
    """
    rows = {"kept": kept, "placed": position > 0, "drawn": drawn}
    return Certificates(
        sets.request_ids, tuple(rule for one in slates for rule in _count_rules(one, sets, **rows))
    )


def _count_rules(
    slates: DecidedSlates, sets: CandidateSets, *, kept: Mask, placed: Mask, drawn: Mask
) -> Iterator[RuleCounts]:
    """Count each rule of one policy, caps first; ``placed`` are the candidates with a slot, shape [rows]."""
    rules, unplaced = slates.rules, kept & ~placed
    closing: dict[str, Mask] = {}
    for name, (values, limit) in rules.caps.items():
        key = sets.request * (int(values.max(initial=0)) + 2) + values + 1
        codes, distinct = pd.factorize(key)
        held = np.bincount(codes[placed], minlength=len(distinct))[codes]
        closing[name] = unplaced & (values >= 0) & (held >= limit)
        most, rows = np.zeros(len(sets), dtype=np.int64), placed & (values >= 0)
        np.maximum.at(most, sets.request[rows], held[rows])
        yield RuleCounts(
            name=name,
            decides=slates.among,
            wanted=np.full(len(sets), limit),
            got=most,
            available=sets.counts(kept & (values >= 0)),
            dropped=sets.counts(~kept & (values >= 0)),
            kept_out={name: sets.counts(closing[name])},
            at_most=True,
        )
    full = sets.counts(placed) >= rules.length
    closing[LENGTH] = unplaced & full[sets.request]
    for name, marked, least in rules.requirements():
        available = sets.counts(marked & kept)
        yield RuleCounts(
            name=name,
            decides=slates.among,
            wanted=available if least is None else np.full(len(sets), least),
            got=sets.counts(drawn if name == EXPLORATION else marked & placed),
            available=available,
            dropped=sets.counts(marked & ~kept),
            kept_out={by: sets.counts(marked & closed) for by, closed in closing.items()},
        )
