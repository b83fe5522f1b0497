"""A release whose own code lets through what a hard constraint keeps out is held, and nobody can override that."""

from collections.abc import Iterator

import pytest

from tasks.contracts.gates import OverrideRule
from tasks.errors import GateRefused
from tasks.pipeline import recheck
from tasks.promotion.gate import GateResult
from tasks.promotion.moves.rules import lift_verdicts
from tasks.release import view
from tasks.replay import shadow, simulate
from tasks.replay.decided_slice import Entrant, Entrants
from tasks.stores.workspace import Workspace
from tasks.tuning.tuning_slice import TuningSlice
from tests.feeds.leaking_kernel import register_leaking
from tests.feeds.mini import LATER, Retrained
from tests.verdicts import subject_of


@pytest.fixture(scope="module")
def leaking(second_retrain: Retrained) -> Iterator[int]:
    """Release 2 once more, packed with a kernel that filters nothing."""
    with register_leaking(second_retrain.workspace, 2) as part:
        yield part.version


@pytest.fixture(scope="module")
def workspace(second_retrain: Retrained) -> Workspace:
    return second_retrain.workspace


@pytest.fixture(scope="module")
def judged(workspace: Workspace, leaking: int) -> GateResult:
    return recheck(workspace, leaking, as_of=LATER)


def test_each_constraint_that_leaks_is_the_first_reason_with_its_count(judged: GateResult) -> None:
    evidence = judged.evidence.to_json()
    assert evidence["verdict"] == "hold"
    leaks = [verdict for verdict in evidence["gates"] if verdict["gate"] == "constraints"]
    assert evidence["gates"][: len(leaks)] == leaks
    assert {subject_of(verdict) for verdict in leaks} == {"policy_violation", "not_permitted"}
    for verdict, reason in zip(leaks, evidence["reasons"], strict=False):
        count = verdict["observed"]["value"]
        assert count > 0
        assert reason.startswith(f"constraints: {subject_of(verdict)} in the slots {count:.0f} ")


def test_it_is_counted_on_the_test_days_and_on_the_newest_traffic(workspace: Workspace, leaking: int) -> None:
    simulated = simulate.run(workspace, release=leaking)
    shadowed = shadow.run(workspace, as_of=LATER, challenger=leaking)
    for result, verdicts in ((simulated, simulated.guardrails), (shadowed, shadowed.verdicts)):
        assert not result.passed
        leaks = [verdict for verdict in verdicts if verdict["gate"] == "constraints"]
        assert {verdict["evidence"] for verdict in leaks} == {result.run_id}
        assert [verdict["outcome"] for verdict in leaks] == ["block"] * 2


def test_no_override_lifts_it(workspace: Workspace, judged: GateResult) -> None:
    verdicts = judged.evidence.verdicts
    every = OverrideRule(role="lead", gates=("model", "calibration", "decision", "shadow", "freshness"))
    with pytest.raises(GateRefused, match="and never this: constraints: policy_violation in the slots"):
        lift_verdicts(verdicts, rule=every, why="a sale", safety=(), inconclusive="warn")


def test_a_champion_that_leaks_warns_and_does_not_hold_what_would_take_its_place(
    workspace: Workspace, leaking: int
) -> None:
    before = simulate.run(workspace, release=2)
    beside = simulate.run(workspace, release=2, baseline=str(leaking))
    assert [verdict for verdict in before.guardrails if verdict["gate"] == "constraints"] == []
    leaks = [verdict for verdict in beside.guardrails if verdict["gate"] == "constraints"]
    named = f"champion {leaking}"
    assert [subject_of(one) for one in leaks] == [f"policy_violation of {named}", f"not_permitted of {named}"]
    assert {(one["outcome"], one["evidence"]) for one in leaks} == {("warn", beside.run_id)}
    assert all(one["observed"]["value"] > 0 for one in leaks)


def test_what_leaks_is_no_release_to_tune_the_weights_of(workspace: Workspace, leaking: int) -> None:
    ours, theirs = (Entrant(view.load(workspace, one), f"release {one}") for one in (leaking, 2))
    with pytest.raises(GateRefused, match=rf"release {leaking} puts into its slots .*: policy_violation \d+"):
        TuningSlice.of(workspace, Entrants(ours, theirs))


def test_beside_a_champion_that_leaks_weights_are_tuned(workspace: Workspace, leaking: int) -> None:
    ours, theirs = (Entrant(view.load(workspace, one), f"release {one}") for one in (2, leaking))
    assert (
        TuningSlice.of(workspace, Entrants(ours, theirs)).search.decided.baseline.name == f"release {leaking}"
    )
