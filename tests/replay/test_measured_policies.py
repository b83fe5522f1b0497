"""Every policy that simulations measured on the same days is counted once, and the luck of the best is named."""

import contextlib
import math
from pathlib import Path

import numpy as np
import pytest

from tasks.evaluation.evidence import Measured
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Estimate
from tasks.replay.measured_policies import count_luck, expected_best, tag_policies, without_selection
from tasks.stores.runs import StepKey
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tests.stores.mlflow_home import new_home
from tests.verdicts import subject

DAYS = "2026-02-16/2026-02-22"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace("feed", surfaces=tmp_path / "surfaces", store=Store.open(new_home(tmp_path / "home")))


def simulated(
    workspace: Workspace, inputs: str, policies: list[str], *, release: int = 1, days: str = DAYS
) -> str:
    with workspace.store.runs.step(StepKey(workspace.surface, "simulate", inputs)) as run:
        tag_policies(run, days, release, policies)
        return run.run_id


def gains(value: float, half: float, *, segment: Segment = ALL) -> Measured:
    change = Estimate(value, value - half, value + half, 900)
    return Measured(subject("observed_utility"), segment, "release 1", None, None, change)


def test_a_policy_counts_once_however_often_it_is_measured(workspace: Workspace) -> None:
    simulated(workspace, "a", ["own"])
    simulated(workspace, "b", ["own", "bold"])
    newest = simulated(workspace, "c", ["own", "bold", "shy"])
    assert count_luck(workspace, newest, {}).policies == 3


def test_other_days_and_the_same_policy_of_another_release_are_told_apart(workspace: Workspace) -> None:
    simulated(workspace, "a", ["own", "bold"], days="2026-02-09/2026-02-15")
    simulated(workspace, "b", ["own"], release=2)
    assert count_luck(workspace, simulated(workspace, "c", ["own"]), {}).policies == 2


def test_what_failed_measured_nothing(workspace: Workspace) -> None:
    key = StepKey(workspace.surface, "simulate", "a")
    with contextlib.suppress(RuntimeError), workspace.store.runs.step(key) as run:
        tag_policies(run, DAYS, 1, ["lost"])
        raise RuntimeError
    assert count_luck(workspace, simulated(workspace, "b", ["own"]), {}).policies == 1


def test_the_best_gain_on_the_whole_loses_the_luck_of_as_many(workspace: Workspace) -> None:
    run = simulated(workspace, "a", ["own", "bold", "shy"])
    others = {
        "bold": [gains(0.05, 0.0196), gains(0.5, 0.1, segment=Segment("tenure", "new"))],
        "shy": [gains(0.01, 0.0196)],
    }
    found = count_luck(workspace, run, others)
    assert found.best is not None
    assert (found.best.name, found.best.gain) == ("bold", 0.05)
    assert found.best.gain_without_luck == pytest.approx(0.05 - 0.8463 * 0.01, abs=1e-5)


def test_a_simulation_without_tags_counts_as_one_policy(workspace: Workspace) -> None:
    with workspace.store.runs.step(StepKey(workspace.surface, "simulate", "a")) as run:
        pass
    assert count_luck(workspace, run.run_id, {}).policies == 1


@pytest.mark.parametrize(
    ("policies", "expected"),
    [(1, 0.0), (2, 1 / math.sqrt(math.pi)), (3, 1.5 / math.sqrt(math.pi)), (200, 2.7460)],
)
def test_the_expected_maximum_is_that_of_the_closed_forms(policies: int, expected: float) -> None:
    assert expected_best(policies) == pytest.approx(expected, abs=1e-4)


def test_it_grows_with_every_policy_and_stays_finite() -> None:
    luck = [expected_best(n) for n in (1, 2, 5, 50, 1_000, 1_000_000)]
    assert luck == sorted(luck)
    assert luck[-1] < 6


def test_no_policy_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        expected_best(0)


def test_of_equal_policies_the_best_gains_nothing_once_its_luck_is_taken_off() -> None:
    rng, left = np.random.default_rng(5), []
    for _ in range(300):
        best = float(rng.normal(0.0, 0.01, size=40).max())
        left.append(without_selection(Estimate(best, best - 0.0196, best + 0.0196, 900), 40))
    assert abs(np.mean(left)) < 4 * np.std(left) / math.sqrt(300)


def test_a_gain_without_an_interval_has_no_corrected_one() -> None:
    assert math.isnan(without_selection(Estimate(0.1, math.nan, math.nan, 0), 3))
