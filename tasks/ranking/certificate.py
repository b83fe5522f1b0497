"""The certificate of every slate: which rules it meets, and why it falls short of the others.

Read off the slate as it stands, not off the kernel that made it. Rules stand in the order in which they claim
slots (``slate.py``)::

    max_per, max_where        never give way; what a full one keeps out is counted below
    required_first            give way in this order, each to all that stand above it
    min_where_if_available
    exploration               slots that were drawn
    length

Of the candidates that would help a rule, ``available`` were left by constraints and floors and ``dropped``
were not. Those that are available and got no slot were kept out by full caps, or by the length where the
slate is full; who is kept out by two rules counts for both.
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
from .exploration import EXPLORATION
from .rules import LENGTH, SlateColumns

REQUIREMENT = "requirement"
WANTED = "wanted"
GOT = "got"
AVAILABLE = "available"
_COUNTS = (WANTED, GOT, AVAILABLE)


@dataclass(frozen=True)
class DecidedSlates:
    """The rules of one slate policy with the requests that it decides on, shape [requests]."""

    rules: SlateColumns
    among: Mask


@dataclass(frozen=True)
class RuleCounts:
    """What one rule asked of each request and got, arrays of shape [requests].

    Attributes
    ----------
    decides : where the rule is one of the request's slate policy.
    wanted : slots asked for; of a cap the most allowed.
    got : slots that meet it; of a cap the most that one value holds.
    available : candidates left by constraints that meet it; of a cap those that it counts.
    dropped : candidates that would meet it and were dropped.
    kept_out : rule -> available candidates without a slot that it keeps out.
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
        """The requests whose slate falls short of it."""
        short = self.got > self.wanted if self.at_most else self.got < self.wanted
        return self.decides & short


@dataclass(frozen=True)
class Certificates:
    """What was asked of every request's slate, rule by rule, in the order in which rules claim slots."""

    request_ids: npt.NDArray[np.object_]
    rules: tuple[RuleCounts, ...]

    @property
    def unmet(self) -> pd.DataFrame:
        """request_id, requirement, wanted, got, available; a row for each rule that fell short."""
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
        """Return what one request's slate falls short of, by its code: plain JSON, in order."""
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
        """Return each request's certificate as JSON: the names met, and what is known of the others."""
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
    """Hold every slate against the rules of its policy.

    Parameters
    ----------
    slates : each policy's rules, and the requests that it decides on.
    kept : [rows] the candidates that constraints and floors left.
    position : [rows] slot from 1; 0 for what is off the slate.
    drawn : [rows] whom exploration drew.

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
    rows = _CandidateRows(sets, kept, position > 0, drawn)
    return Certificates(sets.request_ids, tuple(rule for one in slates for rule in rows.count(one)))


@dataclass(frozen=True)
class _CandidateRows:
    """All candidates: whose they are, which were left, have a slot, were drawn; shape [rows]."""

    sets: CandidateSets
    kept: Mask
    placed: Mask
    drawn: Mask

    def count(self, slates: DecidedSlates) -> Iterator[RuleCounts]:
        """Count each rule of one policy, caps first."""
        rules, unplaced = slates.rules, self.kept & ~self.placed
        closing: dict[str, Mask] = {}
        for name, (values, limit) in rules.caps.items():
            held = self._held(values)
            closing[name] = unplaced & (values >= 0) & (held >= limit)
            yield RuleCounts(
                name=name,
                decides=slates.among,
                wanted=np.full(len(self.sets), limit),
                got=self._greatest(held, self.placed & (values >= 0)),
                available=self.sets.counts(self.kept & (values >= 0)),
                dropped=self.sets.counts(~self.kept & (values >= 0)),
                kept_out={name: self.sets.counts(closing[name])},
                at_most=True,
            )
        full = self.sets.counts(self.placed) >= rules.length
        closing[LENGTH] = unplaced & full[self.sets.request]
        for name, marked, least in rules.requirements():
            available = self.sets.counts(marked & self.kept)
            yield RuleCounts(
                name=name,
                decides=slates.among,
                wanted=available if least is None else np.full(len(self.sets), least),
                got=self.sets.counts(self.drawn if name == EXPLORATION else marked & self.placed),
                available=available,
                dropped=self.sets.counts(marked & ~self.kept),
                kept_out={by: self.sets.counts(marked & closed) for by, closed in closing.items()},
            )

    def _held(self, values: npt.NDArray[np.int32]) -> Integers:
        """Count the slots of each row's request that hold its value, shape [rows]."""
        key = self.sets.request * (int(values.max(initial=0)) + 2) + values + 1
        codes, distinct = pd.factorize(key)
        return np.bincount(codes[self.placed], minlength=len(distinct))[codes]

    def _greatest(self, held: Integers, rows: Mask) -> Integers:
        most = np.zeros(len(self.sets), dtype=np.int64)
        np.maximum.at(most, self.sets.request[rows], held[rows])
        return most
