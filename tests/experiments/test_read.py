"""An experiment planned and read from a log: what it decides, what it refuses, and what it withholds."""

import hashlib
import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.contracts import load_surface
from tasks.contracts.experiment import Arm, ExperimentSpec, load_experiment
from tasks.errors import ContractError, DataError, GateRefused
from tasks.evaluation.subjects import Segment
from tasks.evaluation.verdicts import Outcome
from tasks.experiments import plan, read
from tasks.experiments.arms_log import TRIGGERED, ArmLog, UserDays, measure_outcomes, read_arms
from tasks.experiments.effects import Analysis, read_metric
from tasks.experiments.evidence import ExperimentReadout, ReadState, SampleRatio
from tasks.experiments.read import (
    find_state,
    other_releases,
    read_sample_ratio,
    uneven_triggers,
)
from tasks.experiments.results import list_experiments, require_ship, running_experiments
from tasks.labels.snapshot import Snapshot
from tasks.labels.store import LabelStore
from tasks.stores.workspace import Workspace
from tests.experiments.arms_feed import ENDS, NAME, STARTS, ArmsFeed, write_experiment
from tests.feeds import mini

BEFORE = datetime(2026, 1, 11, tzinfo=UTC)
DURING = datetime(2026, 1, 22, tzinfo=UTC)
AFTER = datetime(2026, 2, 2, tzinfo=UTC)


def triggers(rows: pd.DataFrame) -> pd.DataFrame:
    """A quarter of the requests would have had another slate in the other arm."""
    quarter = rows["request_id"].map(lambda one: hashlib.sha256(str(one).encode()).digest()[1] % 4 == 0)
    return rows.assign(triggered=quarter)


@pytest.fixture(scope="module")
def feed(mini_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The log, with a plan that was refused and one that was accepted, and a read-out before its end."""
    workspace = ArmsFeed(triggers).write(mini_world, tmp_path_factory.mktemp("arms"))
    strict = {"metric": "hide_2d_rate", "relative_increase_max": 0.02, "critical": True}
    changed(workspace, guardrails=[strict])
    refused = plan.run(workspace, NAME, as_of=BEFORE).evidence
    assert not refused.accepted
    assert "hide_2d_rate (critical)" in refused.reasons[0]
    with pytest.raises(ContractError, match="no accepted plan"):
        read.run(workspace, NAME, as_of=BEFORE)
    changed(workspace, arms={"control": {"release": 1}, "treatment": {"release": 9}})
    with pytest.raises(ContractError, match="9"):
        plan.run(workspace, NAME, as_of=BEFORE)
    changed(workspace)
    planned = plan.run(workspace, NAME, as_of=BEFORE).evidence
    assert planned.accepted
    assert planned.arms == {"control": 1, "treatment": 2}
    assert {one.metric: one.days_needed for one in planned.metrics}["hide_2d_rate"] in range(5, 19)
    return workspace


@pytest.fixture(scope="module")
def during(feed: Workspace) -> ExperimentReadout:
    return read.run(feed, NAME, as_of=DURING).evidence


@pytest.fixture(scope="module")
def after(during: ExperimentReadout, feed: Workspace) -> ExperimentReadout:
    return read.run(feed, NAME, as_of=AFTER).evidence


@pytest.fixture(scope="module")
def spec(feed: Workspace) -> ExperimentSpec:
    return load_experiment(feed.surfaces, NAME, feed.contracts)


@pytest.fixture(scope="module")
def snapshot(after: ExperimentReadout, feed: Workspace) -> Snapshot:
    found = LabelStore(feed.store, mini.NAME).last()
    assert found is not None
    return found


def changed(workspace: Workspace, **changes: Any) -> None:
    write_experiment(workspace.surfaces.parent, **changes)


def test_while_it_runs_the_decision_waits_and_intervals_are_always_valid(during: ExperimentReadout) -> None:
    assert (during.state, during.decision) == (ReadState.RUNNING, "continue")
    hides = next(one for one in during.metrics if one.metric == "hide_2d_rate")
    assert (hides.final, hides.mature_on) == (False, date(2026, 2, 1))
    assert hides.effect is not None
    assert hides.change is not None
    assert hides.change.low < hides.effect.interval().low
    latency = during.metrics[-1].verdicts[0]
    assert latency.outcome is Outcome.INCONCLUSIVE
    assert "evaluated at the end" in latency.reason


def test_at_the_end_it_ships_with_effects_that_hold_the_truth(after: ExperimentReadout) -> None:
    assert (after.state, after.decision, after.reasons) == (ReadState.FINISHED, "ship", ())
    clicks, hides, latency = after.metrics
    assert clicks.change is not None
    assert hides.change is not None
    assert clicks.change.low < 0 < clicks.change.high
    assert hides.change.low < -0.5 < hides.change.high
    assert latency.outcome is Outcome.PASS
    assert after.sample_ratio is not None
    assert clicks.effect is not None
    assert tuple(after.sample_ratio.users.values()) == clicks.effect.users
    assert {str(one.segment) for one in clicks.segments} == {
        *(f"user_tenure={one}" for one in ("loyal", "new", "returning")),
        "triggered=true",
    }
    assert [one.day for one in clicks.cumulative][-1] == date(2026, 1, 29)
    assert after.notes == ()


def test_a_percentile_of_few_users_has_no_interval(feed: Workspace, spec: ExperimentSpec) -> None:
    each, none = np.arange(2000), np.zeros(0, dtype=np.intp)
    outcomes = []
    for users in (each, each % 300, np.zeros(2000, dtype=np.intp)):
        log = ArmLog(
            rows=UserDays(none, none, {}),
            treated=none > 0,
            first_day=none,
            crossed=none > 0,
            impressions=np.zeros((14, 2), dtype=np.intp),
            latencies=(users, each % 14, 40.0 + each / 100),
        )
        readout = read_metric(Analysis(spec, feed.contracts, log, AFTER), "latency_p99_ms")
        outcomes.append(readout.verdicts[0].outcome)
    assert outcomes == [Outcome.PASS, Outcome.PASS, Outcome.INCONCLUSIVE]


def test_triggered_users_count_from_the_first_request_for_which_the_arms_differ(
    after: ExperimentReadout, feed: Workspace
) -> None:
    files = (feed.home / "logs" / mini.NAME / "impressions").glob("*.parquet")
    rows = pd.concat(map(pd.read_parquet, files), ignore_index=True)
    rows = rows[rows["experiment"] == NAME].assign(day=rows["shown_at"].dt.date)
    first = rows[rows["triggered"]].groupby("user_id")["day"].min()
    reached = rows[rows["day"] >= rows["user_id"].map(first).fillna(ENDS)]
    assert after.triggered is not None
    assert after.triggered.users == rows[rows["triggered"]].groupby("arm")["user_id"].nunique().to_dict()
    hides = next(one for one in after.metrics if one.metric == "hide_2d_rate")
    (seen,) = [one for one in hides.segments if one.segment == Segment("triggered", "true")]
    assert seen.observed is not None
    assert hides.change is not None
    assert seen.observed.n == reached["user_id"].nunique()
    assert seen.observed.low < -0.5 < seen.observed.high
    assert seen.observed.high - seen.observed.low > hides.change.high - hides.change.low


def triggered_ratio(log: ArmLog, spec: ExperimentSpec) -> SampleRatio:
    assert log.triggered_counts is not None
    return read_sample_ratio(log.triggered_counts, spec)


def test_no_effect_on_triggered_users_is_shown_where_the_arms_trigger_differently(
    snapshot: Snapshot, spec: ExperimentSpec, feed: Workspace
) -> None:
    log = read_arms(snapshot, spec, feed.contracts, until=ENDS)
    assert log.triggered_day is not None
    assert list(uneven_triggers(triggered_ratio(log, spec))) == []
    never = np.where(
        log.treated & (np.arange(len(log.treated)) % 8 > 0), len(log.impressions), log.triggered_day
    )
    (note,) = uneven_triggers(triggered_ratio(replace(log, triggered_day=never), spec))
    assert "triggered users do not have the declared shares since 2026-01-" in note
    assert TRIGGERED in log.segments
    assert TRIGGERED not in log.without(TRIGGERED).segments


def test_it_holds_the_changes_of_outcomes_with_their_covariance_by_user(after: ExperimentReadout) -> None:
    seen = after.outcomes
    assert seen.outcomes == ("click_30m_rate", "hide_2d_rate")
    errors = np.sqrt(np.diag(seen.covariance))
    for one, change, error in zip(after.metrics, seen.changes, errors, strict=False):
        assert one.effect is not None
        assert change == pytest.approx(one.effect.treatment - one.effect.control, rel=1e-9)
        assert error == pytest.approx(one.effect.control * one.effect.log_error, rel=0.35)
    assert abs(seen.covariance[0][1]) < errors.prod()


def test_the_outcome_of_a_term_with_a_value_column_counts_by_it(mini_world: Path, tmp_path: Path) -> None:
    contracts = load_surface(mini.write_contracts(tmp_path), mini.NAME)
    labels = {task: [1.0, 0.0, 1.0, 1.0] for task in ("click_30m", "purchase_2d", "satisfied_2d", "hide_2d")}
    labels |= {"return_5d": [0.0] * 4}
    statuses = {f"{task}__status": ["observed"] * 3 + ["immature"] for task in labels}
    frame = pd.DataFrame({**labels, **statuses, "margin": [2.0, 5.0, 0.5, 9.0], "user_tenure": "new"})
    outcomes = {"purchase_2d": "purchase_2d", "hide_2d_rate": "hide_2d"}
    sums = measure_outcomes(frame, outcomes, contracts)
    assert [part.tolist() for part in sums["purchase_2d"]] == [[2.0, 0.0, 0.5, 0.0], [1.0, 1.0, 1.0, 0.0]]
    assert sums["hide_2d_rate"][0].tolist() == [1.0, 0.0, 1.0, 0.0]


def test_a_read_out_is_the_same_when_later_data_have_arrived(
    after: ExperimentReadout, feed: Workspace
) -> None:
    folder = feed.home / "logs" / mini.NAME / "events"
    late = pd.read_parquet(folder / "2026-01-20.parquet")
    late["ingested_at"] = pd.Timestamp(AFTER) + pd.Timedelta(days=1)
    late.to_parquet(folder / "late.parquet", index=False)
    again = read.run(feed, NAME, as_of=AFTER)
    (folder / "late.parquet").unlink()
    assert again.evidence == after


def test_the_page_shows_decision_arms_effects_and_segments(after: ExperimentReadout) -> None:
    html = Path(after.report).read_text(encoding="utf-8")
    for shown in ("SHIP", "alarm at 100", "Cumulative effects", "always-valid", "user_tenure=new"):
        assert shown in html


def test_it_is_listed_with_its_decision_and_runs_no_more(after: ExperimentReadout, feed: Workspace) -> None:
    (listed,) = list_experiments(feed)
    assert (listed.experiment, listed.state, listed.decision) == (NAME, "finished", "ship")
    assert running_experiments(feed, as_of=AFTER) == ()
    assert list_experiments(replace(feed, surface="other")) == []
    changed(feed, segments=["tenure"])
    (refused,) = list_experiments(feed)
    assert "Unknown segment 'tenure'" in refused.problem
    folder = feed.surfaces.parent / "experiments"
    (folder / "torn.yaml").write_text("experiment: [", encoding="utf-8")
    assert [one.experiment for one in list_experiments(feed)] == [NAME]
    (folder / "torn.yaml").unlink()
    changed(feed)


def test_an_arm_that_another_release_served_is_noted(
    snapshot: Snapshot, spec: ExperimentSpec, feed: Workspace
) -> None:
    log = read_arms(snapshot, spec, feed.contracts, until=STARTS + timedelta(days=1))
    assert set(log.served) == {("control", 1), ("treatment", 2)}
    pinned = {"control": 1, "treatment": 3}
    assert list(other_releases(log, pinned, spec)) == [
        "treatment: 100.0% of its impressions were served by another release than 3"
    ]
    follows = {**spec.arms, "treatment": Arm(release="champion", follows=True)}
    assert list(other_releases(log, pinned, spec.model_copy(update={"arms": follows}))) == []


def test_a_promotion_of_the_release_that_shipped_is_supported_and_of_no_other(
    after: ExperimentReadout, feed: Workspace
) -> None:
    require_ship(feed, NAME, release=2)
    require_ship(feed, "feed-142", release=9)  # without a file it is a name elsewhere
    with pytest.raises(GateRefused, match="decided on release 2, not on release 1"):
        require_ship(feed, NAME, release=1)


def test_a_file_that_changed_after_the_start_is_refused_and_a_later_version_is_planned_anew(
    during: ExperimentReadout, feed: Workspace
) -> None:
    changed(feed, smallest_effect=0.3)
    try:
        with pytest.raises(ContractError, match="changed after its start on 2026-01-12"):
            read.run(feed, NAME, as_of=DURING)
        with pytest.raises(ContractError, match="changed after its start"):
            plan.run(feed, NAME, as_of=DURING)
        changed(feed, version=2, starts="2026-02-02", ends="2026-02-20")
        with pytest.raises(ContractError, match="no accepted plan of version 2"):
            read.run(feed, NAME, as_of=AFTER)
    finally:
        changed(feed)


def test_before_its_start_there_is_nothing_to_read(feed: Workspace) -> None:
    seen = read.run(feed, NAME, as_of=BEFORE).evidence
    assert (seen.state, seen.decision, seen.metrics) == (ReadState.NOT_STARTED, "continue", ())


def test_an_arm_that_the_file_does_not_name_is_refused(
    snapshot: Snapshot, spec: ExperimentSpec, feed: Workspace
) -> None:
    arms = {"control": spec.arms["control"], "treatmnt": spec.arms["treatment"]}
    with pytest.raises(DataError, match=r"Unknown arm 'treatment'.*Did you mean 'treatmnt'"):
        read_arms(snapshot, spec.model_copy(update={"arms": arms}), feed.contracts, until=ENDS)


def test_shares_that_the_arms_do_not_have_withhold_every_effect(
    snapshot: Snapshot, spec: ExperimentSpec, feed: Workspace
) -> None:
    other = spec.model_copy(update={"shares": {"control": 0.6, "treatment": 0.4}})
    log = read_arms(snapshot, other, feed.contracts, until=ENDS)
    ratio = read_sample_ratio(log.counts, other)
    state, (reason,) = find_state(log, ratio, other)
    assert (state, state.withholds) == (ReadState.SAMPLE_RATIO, True)
    assert ratio.alarmed_on is not None
    assert STARTS < ratio.alarmed_on < ENDS
    assert "do not have the declared shares" in reason


def test_without_a_pre_period_the_effects_have_no_history(
    snapshot: Snapshot, spec: ExperimentSpec, feed: Workspace
) -> None:
    first = spec.model_copy(update={"starts": date(2026, 1, 1)})
    log = read_arms(snapshot, first, feed.contracts, until=ENDS)
    assert log.before == {}
    assert log.users("click_30m_rate").before is None


def a_log(counts: list[tuple[int, int]], *, crossed: int = 0) -> ArmLog:
    """Return a log of so many new users by day and arm, each with one impression."""
    treated = np.concatenate([np.repeat([False, True], pair) for pair in counts])
    days = np.concatenate([np.full(sum(pair), day) for day, pair in enumerate(counts)])
    none = UserDays(np.arange(len(days)), days, {})
    return ArmLog(none, treated, days, np.arange(len(days)) < crossed, np.array(counts))


def test_an_arm_that_stops_logging_is_named_with_its_first_silent_day(spec: ExperimentSpec) -> None:
    log = a_log([(200, 200), (200, 210), (200, 0), (200, 0)])
    state, (reason,) = find_state(log, read_sample_ratio(log.counts, spec), spec)
    assert state is ReadState.SILENT_ARM
    assert reason == "arm treatment has logged nothing since 2026-01-14"
    none = a_log([(0, 0)])
    assert find_state(none, read_sample_ratio(none.counts, spec), spec)[1] == (
        "no arm has logged anything since 2026-01-12",
    )
    quiet = a_log([(200, 200), (9, 0)])
    assert find_state(quiet, read_sample_ratio(quiet.counts, spec), spec)[0] is ReadState.RUNNING


def test_users_in_both_arms_withhold_every_effect_and_a_few_are_left_out(spec: ExperimentSpec) -> None:
    many, few = a_log([(1000, 1000)], crossed=3), a_log([(1000, 1000)], crossed=2)
    state, (reason,) = find_state(many, read_sample_ratio(many.counts, spec), spec)
    assert (state, reason.partition(".")[0]) == (
        ReadState.BOTH_ARMS,
        "3 of 2,000 users were seen in both arms",
    )
    assert find_state(few, read_sample_ratio(few.counts, spec), spec)[0] is ReadState.RUNNING
    assert math.isclose(read_sample_ratio(few.counts, spec).users["control"], 1000)
