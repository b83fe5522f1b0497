"""Effects of experiments beside the changes that the gate printed, of recorded documents."""

import math
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import linregress, t

from tasks.cli import main
from tasks.errors import DataError
from tasks.evaluation.evidence import Measured
from tasks.evaluation.release_evidence import EvidenceRuns, GateEvidence
from tasks.evaluation.subjects import ALL, Subject
from tasks.evaluation.verdicts import Estimate
from tasks.experiments.evidence import MetricReadout
from tasks.experiments.offline import compare_experiments, compare_offline_online
from tasks.replay.evidence import SimulationEvidence
from tasks.stores.runs import StepKey
from tasks.stores.workspace import Workspace
from tests.experiments.arms_feed import record_experiment
from tests.experiments.test_learn import open_workspace
from tests.feeds import mini

compare = partial(compare_offline_online, "hide_2d_rate")


def change(value: float) -> Estimate:
    return Estimate(value, value - 0.02, value + 0.02, 900)


def record_gate(workspace: Workspace, release: int, hides: float) -> None:
    """Record a replay of a release against release 1, and the gate that judged it."""
    runs = workspace.store.runs
    seen = Measured(Subject("rate", task="hide_2d"), ALL, "log", None, None, change(hides))
    with runs.step(StepKey(mini.NAME, "simulate", str(release))) as simulated:
        simulated.evidence(
            SimulationEvidence(
                release=release,
                champion=1,
                baseline="champion 1",
                report="",
                guardrails=(),
                measured=(seen,),
                others={},
                comparisons=None,
                composition=None,
                notes=(),
            )
        )
    with runs.step(StepKey(mini.NAME, "gate", str(release)), tags={"release": release}) as judged:
        judged.evidence(
            GateEvidence(
                surface=mini.NAME,
                release=release,
                as_of="",
                verdict="promote",
                reasons=(),
                warnings=(),
                notes=(),
                gates=(),
                runs=EvidenceRuns("", "", simulated.run_id, ""),
                calibration_in_slots={},
                sensitivity=(),
                manifest={},
                rules={},
            )
        )


def record_readout(workspace: Workspace, name: str, hides: float, *, control: int, treatment: int) -> None:
    metric = MetricReadout(
        metric="hide_2d_rate",
        critical=True,
        primary=False,
        final=True,
        mature_on=date(2026, 2, 1),
        effect=None,
        change=change(hides),
        verdicts=(),
        detectable=math.nan,
    )
    record_experiment(workspace, name, metrics=(metric,), arms={"control": control, "treatment": treatment})


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Three experiments whose effects are half of what was printed, and two that the gate cannot speak of."""
    there = open_workspace(tmp_path_factory.mktemp("offline"))
    record_gate(there, 2, -0.4)
    record_gate(there, 3, 0.2)
    record_readout(there, "a", -0.2, control=1, treatment=2)
    record_readout(there, "b", 0.1, control=1, treatment=3)
    record_readout(there, "c", -0.2, control=1, treatment=2)
    record_readout(there, "other-control", 0.9, control=2, treatment=3)
    record_readout(there, "no-gate", 0.9, control=1, treatment=4)
    return there


def test_effects_are_compared_with_what_the_gate_printed_against_the_same_control(
    workspace: Workspace,
) -> None:
    (hides,) = compare_experiments(workspace)
    assert (hides.metric, hides.experiments, hides.agreeing) == ("hide_2d_rate", 3, 1.0)
    assert hides.slope.value == pytest.approx(0.5)
    assert hides.intercept.value == pytest.approx(0.0, abs=1e-9)


def test_the_list_of_experiments_shows_slope_and_signs(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    home, surfaces = (f"--{name}={Path(getattr(workspace, name))}" for name in ("home", "surfaces"))
    assert main(["experiment", "list", mini.NAME, home, surfaces]) == 0
    printed = capsys.readouterr().out
    assert "online effects on the changes that the gate printed:" in printed
    (row,) = [line.split() for line in printed.splitlines() if line.startswith("hide_2d_rate")]
    assert row[:3] == ["hide_2d_rate", "3", "0.5"]


def drawn(count: int = 30, seed: int = 0, slope: float = 0.6) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(0.02, 0.05, count)
    errors_x, errors_y = rng.uniform(0.02, 0.04, (2, count))
    offline = truth + errors_x * rng.standard_normal(count)
    return offline, 0.01 + slope * truth + errors_y * rng.standard_normal(count), errors_x, errors_y


def test_the_line_has_the_least_distances_weighted_by_both_variances() -> None:
    x, y, errors_x, errors_y = drawn()
    ratio = (errors_y**2).sum() / (errors_x**2).sum()

    def loss(slope: float) -> float:
        intercept = y.mean() - slope * x.mean()
        return float(((y - intercept - slope * x) ** 2).sum() / (ratio + slope**2))

    best = float(minimize_scalar(loss, bounds=(-5, 5), method="bounded", options={"xatol": 1e-9}).x)
    found = compare(x, y, errors_x, errors_y)
    assert found.slope.value == pytest.approx(best, abs=1e-6)
    assert found.intercept.value == pytest.approx(y.mean() - best * x.mean(), abs=1e-6)


def test_the_axes_can_be_exchanged_and_certain_changes_give_least_squares() -> None:
    x, y, errors_x, errors_y = drawn()
    one, other = compare(x, y, errors_x, errors_y), compare(y, x, errors_y, errors_x)
    assert one.slope.value == pytest.approx(1 / other.slope.value)
    certain = compare(x, y, 0 * errors_x, errors_y).slope.value
    assert certain == pytest.approx(linregress(x, y).slope)
    assert compare(x, y, errors_x, 0 * errors_y).slope.value == pytest.approx(1 / linregress(y, x).slope)
    assert certain < one.slope.value


def test_intervals_hold_the_slope_that_least_squares_would_miss() -> None:
    fits = [compare(*drawn(seed=seed)) for seed in range(200)]
    assert np.mean([fit.slope.low <= 0.6 <= fit.slope.high for fit in fits]) > 0.9
    assert np.mean([fit.intercept.low <= 0.01 <= fit.intercept.high for fit in fits]) > 0.9
    assert np.median([fit.slope.value for fit in fits]) == pytest.approx(0.6, abs=0.05)


def test_an_interval_is_that_of_the_jackknife_with_its_freedom() -> None:
    figures = drawn(6)
    left = [compare(*(np.delete(each, one) for each in figures)) for one in range(6)]
    slopes = np.array([fit.slope.value for fit in left])
    error = math.sqrt(5 / 6 * ((slopes - slopes.mean()) ** 2).sum())
    slope = compare(*figures).slope
    assert slope.high - slope.value == pytest.approx(t.ppf(0.975, 4) * error)


def test_signs_are_counted_and_few_experiments_have_no_line() -> None:
    two = compare([0.1, -0.1], [0.2, 0.1], [0.01] * 2, [0.01] * 2)
    assert (two.agreeing, two.slope.n) == (0.5, 2)
    assert math.isnan(two.slope.value)
    three = compare([0.1, 0.2, 0.4], [0.1, 0.2, 0.4], [0.0] * 3, [0.0] * 3)
    assert three.slope.value == pytest.approx(1.0)
    assert not three.slope.known
    same = compare([0.1] * 5, [0.1, 0.2, 0.3, 0.4, 0.5], [0.0] * 5, [0.1] * 5)
    assert math.isnan(same.slope.value)
    assert math.isnan(compare([], [], [], []).agreeing)


def test_unknown_figures_and_negative_errors_are_refused() -> None:
    with pytest.raises(DataError, match="finite and of one length"):
        compare([0.1, math.nan], [0.1, 0.2], [0.1] * 2, [0.1] * 2)
    with pytest.raises(DataError, match="finite and of one length"):
        compare([0.1], [0.1, 0.2], [0.1] * 2, [0.1] * 2)
    with pytest.raises(DataError, match="negative"):
        compare([0.1], [0.1], [-0.1], [0.1])
