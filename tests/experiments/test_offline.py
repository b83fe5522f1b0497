"""Effects of experiments beside the changes that the gate printed, of recorded documents."""

import math
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from tasks.cli import main
from tasks.evaluation.experiment_evidence import ExperimentReadout, MetricReadout, ReadState
from tasks.evaluation.release_evidence import EvidenceRuns, GateEvidence
from tasks.evaluation.replay_evidence import Measured, SimulationEvidence
from tasks.evaluation.subjects import ALL, Subject
from tasks.evaluation.verdicts import Estimate
from tasks.experiments.offline import compare_experiments
from tasks.experiments.results import READ_STEP
from tasks.stores.runs import StepKey
from tasks.stores.workspace import Workspace
from tests.experiments.arms_feed import write_experiment
from tests.feeds import mini
from tests.stores.mlflow_home import new_home


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
    write_experiment(workspace.surfaces.parent, name)
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
    with workspace.store.runs.step(StepKey(mini.NAME, READ_STEP, name, name)) as run:
        run.evidence(
            ExperimentReadout(
                experiment=name,
                experiment_version=1,
                digest="d",
                plan_run="p",
                as_of=datetime(2026, 3, 1, tzinfo=UTC),
                starts=date(2026, 1, 12),
                ends=date(2026, 1, 30),
                arms={"control": control, "treatment": treatment},
                state=ReadState.FINISHED,
                decision="hold",
                reasons=(),
                sample_ratio=None,
                left_out=0,
                metrics=(metric,),
                notes=(),
                report="",
            )
        )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Three experiments whose effects are half of what was printed, and two that the gate cannot speak of."""
    folder = tmp_path_factory.mktemp("offline")
    surfaces = mini.write_contracts(folder / "surfaces")
    there = Workspace.open(mini.NAME, surfaces=surfaces, home=new_home(folder / "home"))
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
    assert printed.splitlines()[-1].split()[:3] == ["hide_2d_rate", "3", "0.5"]
