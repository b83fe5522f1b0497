"""Weights learned from the recorded read-outs of simulated experiments whose truth is known.

Weights from experiments: least squares, the signal by definition, refusals, and laws of units.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import eigh

from tasks.arrays import Floats
from tasks.contracts.experiment import outcome_of
from tasks.contracts.load import read_policy
from tasks.errors import ContractError, DataError
from tasks.experiments import learn
from tasks.experiments.evidence import (
    LearningRow,
    OutcomeChanges,
    ReadState,
)
from tasks.experiments.learn import LEAST_ARMS, LEAST_SIGNAL, LearningWork, learn_weights, why_refused
from tasks.stores.workspace import Workspace
from tests.docs.pages import DOCS
from tests.docs.walking import walk
from tests.experiments.arms_feed import READ, record_experiment, write_experiment
from tests.feeds import mini
from tests.stores.mlflow_home import new_home

LONG = "satisfied_2d_rate"
ORDER = ("click_30m", "purchase_2d", "return_5d", "hide_2d")
NAMES = ("click_30m_rate", "purchase_2d", "return_5d_rate", "hide_2d_rate", LONG)
TRUTH = np.array([0.5, 2.0, -3.0, -4.0])
"""What the long outcome changes by for each unit of the others."""
ERRORS = 1e-3


def open_workspace(folder: Path) -> Workspace:
    surfaces = mini.write_contracts(folder / "surfaces")
    return Workspace.open(mini.NAME, surfaces=surfaces, home=new_home(folder / "home"))


def outcomes_of(changes: Sequence[float], names: tuple[str, ...] = NAMES) -> OutcomeChanges:
    covariance = np.diag(np.full(len(names), ERRORS**2))
    return OutcomeChanges(outcomes=names, changes=tuple(changes), covariance=covariance.tolist())


def record(workspace: Workspace, number: int, outcomes: OutcomeChanges, **update: Any) -> None:
    """Record the read-out of an experiment with some changes of outcomes."""
    record_experiment(workspace, f"feed-{number}", outcomes=outcomes, **update)


def simulate(count: int, *, size: float, truth: Floats = TRUTH) -> list[OutcomeChanges]:
    """Return experiments whose changes are ``size`` times their errors."""
    rng = np.random.default_rng(0)
    changes = size * ERRORS * rng.standard_normal((count, 4))
    seen = np.column_stack([changes, changes @ truth]) + ERRORS * rng.standard_normal((count, 5))
    return [outcomes_of(one) for one in seen.tolist()]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Eight experiments that changed much, and one each that runs, is unread or lacks an outcome."""
    there = open_workspace(tmp_path_factory.mktemp("learned"))
    for number, outcomes in enumerate(simulate(8, size=30.0)):
        record(there, number, outcomes)
    record(there, 10, outcomes_of([0.9] * 5), state=ReadState.RUNNING)
    write_experiment(there.surfaces.parent, "feed-11")
    record(there, 12, outcomes_of([0.9] * 4, NAMES[:4]))
    record(there, 13, outcomes_of([0.9] * 5), as_of=datetime(2026, 5, 1, tzinfo=UTC))
    return there


def test_the_learned_weights_are_near_the_truth_and_the_proposed_have_the_size_of_the_present_ones(
    workspace: Workspace,
) -> None:
    found = learn.run(workspace, long=LONG, as_of=READ).evidence
    assert found.refused == ()
    assert found.signal > 100
    learned = {one.task: one.learned for one in found.terms if one.learned is not None}
    assert [learned[term].value for term in ORDER] == pytest.approx(TRUTH, abs=0.3)
    assert learned["hide_2d"].low < -4.0 < learned["hide_2d"].high
    now, proposed = ({t.task: getattr(t, each) for t in found.terms} for each in ("current", "proposed"))
    assert np.linalg.norm([*proposed.values()]) == pytest.approx(np.linalg.norm([*now.values()]), rel=1e-3)
    assert proposed["hide_2d"] / proposed["purchase_2d"] == pytest.approx(-2.0, rel=0.1)


def test_the_proposed_policy_is_accepted_and_keeps_the_long_outcome_and_contexts(
    workspace: Workspace,
) -> None:
    found = learn.run(workspace, long=LONG, as_of=READ)
    assert found.evidence.file is not None
    policy, now = read_policy(Path(found.evidence.file), workspace.contracts), workspace.contracts.utility
    assert policy.version == now.version + 1 == found.evidence.policy_version
    assert policy.weights["satisfied_2d"] == now.weights["satisfied_2d"]
    assert policy.weights["purchase_2d"].value_column == "margin"
    assert policy.contexts == now.contexts
    text = Path(found.evidence.file).read_text(encoding="utf-8")
    assert f"run {found.run_id}" in text
    assert "feed-7 (version 1)" in text
    assert learn.run(workspace, long=LONG, as_of=READ).reused


def test_experiments_without_figures_are_left_out_with_the_reason(workspace: Workspace) -> None:
    rows = learn.run(workspace, long=LONG, as_of=READ).evidence.experiments
    assert {one.experiment: one.reason for one in rows if one.reason} == {
        "feed-10": "running as of 2026-03-01T00:00:00Z",
        "feed-11": "has no read-out",
        "feed-12": "satisfied_2d_rate immature or with too few events as of 2026-03-01T00:00:00Z",
        "feed-13": "has no read-out",
    }
    later = learn.run(workspace, long=LONG, as_of=datetime(2026, 6, 1, tzinfo=UTC)).evidence
    assert sum(not one.reason for one in later.experiments) == 9


def test_every_example_of_the_page_prints_what_it_says(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EQUIPOISE_HOME", str(workspace.home))
    monkeypatch.setenv("EQUIPOISE_SURFACES", str(workspace.surfaces))
    page = DOCS / "learn_weights.md"
    assert walk(page, capsys) == [0]
    text = " ".join(page.read_text(encoding="utf-8").split())
    assert f"fewer than {LEAST_ARMS} experiments" in text
    assert f"F_min below {LEAST_SIGNAL:g}" in text


def test_a_long_outcome_that_is_no_rate_of_a_task_is_refused(workspace: Workspace) -> None:
    with pytest.raises(ContractError, match=r"Unknown long outcome 'satisfied_2d'.*Did you mean"):
        learn.run(workspace, long="satisfied_2d", as_of=READ)


REFUSED = {
    "too few": (7, 30.0, TRUTH, "8 finished experiments are needed, 7 have figures of click_30m_rate, "),
    "too small": (10, 0.5, TRUTH, "too little apart from the other terms: F_min is "),
    "another sign": (10, 30.0, -TRUTH, "the learned weight of click_30m is -0.4"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_is_proposed_where_experiments_do_not_carry_it(name: str, workspace: Workspace) -> None:
    count, size, truth, said = REFUSED[name]
    found = tuple(
        (LearningRow(experiment=str(i)), one) for i, one in enumerate(simulate(count, size=size, truth=truth))
    )
    terms = {term: outcome_of(workspace.contracts, term) for term in ORDER}
    work = LearningWork(workspace, READ, LONG, terms, found)
    short, long, covariance = work.arrays()
    reasons = [*why_refused(work, learn_weights(short, long, covariance), short, covariance)]
    assert said in reasons[0]


def test_a_refusal_is_recorded_without_a_proposal(workspace: Workspace) -> None:
    found = learn.run(workspace, long=LONG, as_of=datetime(2026, 2, 1, tzinfo=UTC)).evidence
    assert found.refused[0].startswith("8 finished experiments are needed, 0 have figures of click_30m_rate")
    assert (found.file, found.policy_version) == (None, None)
    assert all(one.proposed is None for one in found.terms)


def drawn(arms: int = 20, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    covariance = np.array([[0.1, 0.03, 0.0], [0.03, 0.2, 0.0], [0.0, 0.0, 0.1]])
    short = rng.standard_normal((arms, 3)) + rng.multivariate_normal(np.zeros(3), covariance, arms)
    return short, short @ [1.0, 0.5, -2.0] + 0.3 * rng.standard_normal(arms), covariance


def test_weights_are_least_squares_and_the_signal_is_the_smallest_generalised_eigenvalue() -> None:
    short, long, covariance = drawn()
    learned = learn_weights(short, long, covariance)
    assert learned.weights == pytest.approx(np.linalg.solve(short.T @ short, short.T @ long))
    assert learned.signal == pytest.approx(eigh(short.T @ short / 20, covariance, eigvals_only=True)[0])
    assert not learned.refused
    assert (learned.low < learned.weights).all()
    assert (learned.weights < learned.high).all()


def test_intervals_have_the_width_of_ordinary_least_squares_where_errors_are_equal() -> None:
    rng = np.random.default_rng(1)
    short = rng.standard_normal((200, 2))
    long = short @ [1.0, 2.0] + 0.5 * rng.standard_normal(200)
    learned = learn_weights(short, long, 0.01 * np.eye(2))
    width = 2 * 1.972 * 0.5 * np.sqrt(np.diag(np.linalg.inv(short.T @ short)))
    assert learned.high - learned.low == pytest.approx(width, rel=0.15)


@pytest.mark.parametrize(("arms", "noise", "refused"), [(8, 1, False), (7, 1, True), (20, 4, True)])
def test_few_arms_or_little_signal_are_refused(arms: int, noise: float, refused: bool) -> None:
    short, long, covariance = drawn(arms, seed=5)
    learned = learn_weights(short, long, noise * covariance)
    assert learned.refused == refused
    assert np.isnan(learned.weights).all() == refused


def test_as_many_outcomes_as_arms_are_refused() -> None:
    rng = np.random.default_rng(2)
    assert learn_weights(10 * rng.standard_normal((9, 9)), rng.standard_normal(9), 1e-9 * np.eye(9)).refused
    assert not learn_weights(rng.standard_normal((9, 8)), rng.standard_normal(9), 1e-9 * np.eye(8)).refused
    assert learn_weights(np.empty((0, 2)), [], np.eye(2)).refused


@settings(max_examples=10, deadline=None)
@given(units=st.tuples(*[st.floats(0.01, 100)] * 3), seed=st.integers(0, 9))
def test_units_change_weights_alone(units: tuple[float, ...], seed: int) -> None:
    short, long, covariance = drawn(seed=seed)
    scale = np.array(units)
    one = learn_weights(short, long, covariance)
    other = learn_weights(short * scale, long, covariance * np.outer(scale, scale))
    assert other.signal == pytest.approx(one.signal)
    assert other.weights * scale == pytest.approx(one.weights, nan_ok=True)
    assert other.high * scale == pytest.approx(one.high, rel=1e-6, nan_ok=True)


def test_shapes_that_do_not_fit_and_unknown_figures_are_named() -> None:
    short, long, covariance = drawn()
    with pytest.raises(DataError, match="do not fit"):
        learn_weights(short, long[:-1], covariance)
    with pytest.raises(DataError, match="not finite"):
        learn_weights(short, np.full(20, np.nan), covariance)
