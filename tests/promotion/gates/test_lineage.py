"""What a release was made of, judged: bytes, labels and training days."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from tasks.evaluation.verdicts import Outcome, Verdict
from tasks.promotion.gates.lineage import Lineage, evaluate_lineage
from tasks.stores.manifest import Manifest, PinnedPart, PinnedSnapshot, Role

AS_OF = datetime(2026, 5, 1, tzinfo=UTC)
FIRST = date(2026, 4, 1)


def _part(role: Role, newest: date | None) -> PinnedPart:
    return PinnedPart(f"feed.{role}.click", 3, "f" * 64, role, "click", newest)


def _manifest(*parts: PinnedPart) -> Manifest:
    return Manifest(
        surface="feed",
        as_of=AS_OF,
        snapshot=PinnedSnapshot("abc123", "c", "d", AS_OF),
        contracts={},
        test=(FIRST, date(2026, 4, 7)),
        parts=parts,
        files={},
        code={},
    )


SOUND = _manifest(
    _part(Role.TASK, date(2026, 3, 10)),
    _part(Role.CALIBRATOR, date(2026, 3, 31)),
    _part(Role.UTILITY_POLICY, None),
)
OWN = "abc123", AS_OF
LINEAGE = Lineage(SOUND, SOUND, 27, (), {"feed.task.click": OWN, "feed.calibrator.click": OWN})


def _judged(lineage: Lineage) -> dict[str, Verdict]:
    return {str(verdict.subject): verdict for verdict in evaluate_lineage(lineage, run="run-1")}


def test_a_whole_release_passes_and_each_row_says_what_was_looked_at() -> None:
    verdicts = _judged(LINEAGE)
    assert {v.outcome for v in verdicts.values()} == {Outcome.PASS}
    assert {(v.gate, v.evidence) for v in verdicts.values()} == {("lineage", "run-1")}
    assert verdicts["pins"].reason == "27 files and 3 pinned parts are as registered"
    assert verdicts["labels"].reason == "2 of 2 parts learned from snapshot abc123"


def test_what_is_not_as_registered_blocks_and_the_first_problems_are_named() -> None:
    pins = _judged(replace(LINEAGE, problems=("a is missing.", "b is missing.", "c", "d", "e")))["pins"]
    assert (pins.outcome, pins.reason) == (Outcome.BLOCK, "a is missing.; b is missing.; c; and 2 more")


def test_a_part_that_was_kept_learned_from_earlier_labels_and_passes() -> None:
    kept = {**LINEAGE.labels, "feed.task.back": ("old", AS_OF - timedelta(days=28))}
    labels = _judged(replace(LINEAGE, labels=kept))["labels"]
    assert labels.outcome is Outcome.PASS
    assert labels.reason == "2 of 3 parts learned from snapshot abc123, from earlier ones feed.task.back"


def test_a_part_that_learned_from_labels_of_a_later_instant_blocks() -> None:
    late = {"feed.task.click": ("new", AS_OF + timedelta(seconds=1))}
    labels = _judged(replace(LINEAGE, labels=late))["labels"]
    assert labels.outcome is Outcome.BLOCK
    assert "feed.task.click" in labels.reason


@pytest.mark.parametrize(
    ("newest", "outcome", "days"),
    [(date(2026, 3, 31), Outcome.PASS, 1), (FIRST, Outcome.BLOCK, 0), (date(2026, 4, 9), Outcome.BLOCK, -8)],
)
def test_training_ends_before_the_test_slice(newest: date, outcome: Outcome, days: int) -> None:
    manifest = _manifest(_part(Role.TASK, newest))
    found = _judged(replace(LINEAGE, manifest=manifest, tested=manifest))["training_days"]
    assert found.outcome is outcome
    assert found.observed is not None
    assert found.observed.value == days


def test_refitted_models_may_know_the_test_days_since_others_were_tested() -> None:
    refitted = _manifest(_part(Role.TASK, date(2026, 4, 20)))
    assert _judged(replace(LINEAGE, manifest=refitted))["training_days"].outcome is Outcome.PASS
