"""Notes on what a simulation cannot measure."""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from tasks.errors import list_names
from tasks.evaluation.evidence import Measured
from tasks.evaluation.subjects import ALL
from tasks.replay.decided_slice import DecidedSlice
from tasks.replay.evaluate import Findings
from tasks.replay.log import CandidateLog, PolicySlates
from tasks.replay.metrics import REORDERING, examined_by
from tasks.replay.slates import TestSlice
from tasks.stores.workspace import Workspace

_ALIKE: Final = 0.01
"""Relative difference in exposure that a note ignores."""


def stood_in(workspace: Workspace, release: int) -> Iterator[str]:
    """Yield a note if another release's models were replayed instead of the release's own."""
    tested = workspace.releases.tested_version(release)
    if tested != release:
        yield (
            f"Release {release} serves refitted models, which were trained on these days. Release {tested} "
            "is replayed instead, with models of the same recipes that were not."
        )


def other_slate(pinned: str, in_force: str, policies: Collection[str]) -> Iterator[str]:
    """Yield a note if further policies use other slate rules than the release.

    Parameters
    ----------
    pinned, in_force : digest of the release's slate policy, and of the surface's.
    policies : names of the further policies.

    Examples
    --------
    >>> list(other_slate("3f", "3f", ["bold.yaml"])), list(other_slate("3f", "a0", []))
    ([], [])
    """
    if policies and pinned != in_force:
        yield (
            f"slate.yaml is another than the release pins: {', '.join(policies)} fill slates by the one in "
            "force, so what sets them apart from the release is of both files."
        )


def note_examined(log: CandidateLog, policy: PolicySlates, against: PolicySlates) -> Iterator[str]:
    """Yield a note if slates of two policies differ in total exposure, which no rate shows."""
    candidate, reference = (float(examined_by(log, slates).sum()) for slates in (policy, against))
    if reference and abs(candidate / reference - 1) > _ALIKE:
        yield (
            f"The slates of {policy.name} are examined {candidate / reference - 1:+.1%} against those of "
            f"{against.name}, as they are longer or shorter: rates and utilities are per examined "
            "impression, and totals per request change with it."
        )


def notes_of(test: TestSlice | DecidedSlice, found: Findings, *, against_log: bool) -> Iterator[str]:
    """Yield what these data cannot measure, each reason once."""
    if against_log:
        yield (
            "The baseline is the logged order itself: the standard error of a change is about three times "
            "that against a champion."
        )
    yield from _of_the_utility(found)
    yield from _of_the_log(test)
    yield from _unmeasured(found.measured)


def _of_the_utility(found: Findings) -> Iterator[str]:
    for task, events in found.believed.items():
        yield f"observed_utility: {task} enters by predictions, since {events} events were seen in the slots."
    if found.left_out:
        yield (
            f"observed_utility: {', '.join(found.left_out)} is left out: an answer is no outcome of an "
            "impression, and an outcome that is too rare and not predicted cannot be added."
        )


def _of_the_log(test: TestSlice | DecidedSlice) -> Iterator[str]:
    if not test.complete:
        yield (
            "Reordering only: the log holds what was shown and not what else could have been. A new policy "
            "shows other items, so every figure of the replay is inconclusive. Log the candidates, or "
            "declare shown_is_all: true where every candidate was shown."
        )
    if not test.log.positions_logged:
        yield "No position is logged: the share of impressions examined at each position is unknown."


def _unmeasured(measured: Sequence[Measured]) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for one in measured:
        if one.reason not in {"", REORDERING} and one.segment == ALL:
            name = f"share of {one.subject.column}" if one.subject.value else one.subject.name
            reasons.setdefault(one.reason, []).append(name)
    for reason, metrics in reasons.items():
        yield f"{list_names(dict.fromkeys(metrics))}: {reason}."
