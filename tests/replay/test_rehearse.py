"""A release measured against its baseline: what is judged, and what no log can be asked."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.contracts import Contracts, UtilitySpec
from tasks.evaluation.replay_evidence import Measured
from tasks.evaluation.verdicts import Outcome
from tasks.release import view as release_view
from tasks.replay import slates
from tasks.replay.findings import Findings
from tasks.replay.rehearse import RATCHET, Rehearsal, rehearse
from tasks.stores import releases
from tests.feeds import mini
from tests.feeds.mini import Retrained

LATENCY = {"metric": "latency_p99_ms", "max": 200}


@pytest.fixture(scope="module")
def tested_slice(second_retrain: Retrained) -> slates.TestSlice:
    workspace = second_retrain.workspace
    return slates.TestSlice.of(workspace, releases.release_manifest(workspace, 2))


@pytest.fixture(scope="module")
def scored(tested_slice: slates.TestSlice) -> slates.Scored:
    return tested_slice.slates_of(release_view.load(tested_slice.workspace, 2), "release 2")


def _changed(contracts: Contracts, **changes: object) -> Contracts:
    plain = contracts.utility.model_dump(mode="json") | changes
    return replace(contracts, utility=UtilitySpec.model_validate(plain))


def _found(test: slates.TestSlice, scored: slates.Scored, **changes: object) -> Findings:
    rehearsal = Rehearsal(
        _changed(test.contracts, **changes), test.log, scored.slates, test.baseline_order(scored)
    )
    return rehearse(rehearsal, {}, run="r")


def test_the_primary_comes_first_and_names_its_baseline(
    tested_slice: slates.TestSlice, scored: slates.Scored
) -> None:
    found = _found(tested_slice, scored)
    primary, ratchet = found.verdicts[:2]
    assert (primary.subject, primary.holds) == ("observed_utility", True)
    assert "against logged order" in primary.reason
    assert (ratchet.outcome, ratchet.reason) == (Outcome.NO_RULE, "fewer than four promotions so far")


def test_four_promotions_back_is_held_against_too(
    tested_slice: slates.TestSlice, scored: slates.Scored
) -> None:
    same = replace(scored.slates, name="release 1")
    rehearsal = Rehearsal(tested_slice.contracts, tested_slice.log, scored.slates, same, {RATCHET: same})
    ratchet = rehearse(rehearsal, {}, run="r").verdicts[1]
    assert "against release 1, four promotions ago" in ratchet.reason
    assert ratchet.outcome is Outcome.PASS


def test_a_metric_of_a_column_that_is_not_logged_is_missing_and_not_passed_over(
    tested_slice: slates.TestSlice, scored: slates.Scored
) -> None:
    rail = {"metric": "brand_entropy", "relative_decrease_max": 0.1}
    found = _found(tested_slice, scored, guardrails=[rail])
    missing = [v for v in found.verdicts if v.subject == "brand_entropy"]
    assert [v.outcome for v in missing] == [Outcome.METRIC_MISSING]


def test_a_column_that_is_no_segment_may_be_guarded(tested_slice: slates.TestSlice, tmp_path: Path) -> None:
    """The entropy of a feature died in the simulation, after all training."""

    def guard(plain: dict[str, Any]) -> None:
        plain["guardrails"] += [{"metric": "device_entropy", "relative_decrease_max": 0.1}]

    assert "device" not in tested_slice.log.segments
    workspace = mini.changed(tested_slice.workspace, tmp_path, utility=guard)
    guarded = slates.TestSlice(workspace, tested_slice.candidates, complete=True)
    assert guarded.log.segments["device"].value_counts().sum() == len(tested_slice.candidates)


def test_a_cost_is_judged_with_its_prediction_in_the_same_segments(
    tested_slice: slates.TestSlice, scored: slates.Scored
) -> None:
    rail = {"metric": "hide_2d_rate", "relative_increase_max": 0.1, "by": ["user_tenure"]}
    found = _found(tested_slice, scored, guardrails=[rail])
    segments = {m.segment for m in found.measured if m.metric == "hide_2d_predicted"}
    assert segments == {"all", "user_tenure=new", "user_tenure=returning", "user_tenure=loyal"}
    whole = next(v for v in found.verdicts if v.subject == "hide_2d_rate")
    assert whole.outcome is not Outcome.CANNOT_TELL or whole.holds is not None


def test_beliefs_have_no_interval_in_the_report(
    tested_slice: slates.TestSlice, scored: slates.Scored
) -> None:
    def known(measured: Measured) -> bool:
        return measured.policy is not None and bool(np.isfinite(measured.policy.low))

    found = _found(tested_slice, scored)
    assert not any(known(m) for m in found.measured if m.metric.endswith("_predicted"))
    assert any(known(m) for m in found.measured if m.metric.endswith("_rate"))


def test_latency_is_no_matter_of_a_batch_run(tested_slice: slates.TestSlice, scored: slates.Scored) -> None:
    found = _found(tested_slice, scored, guardrails=[LATENCY])
    assert found.verdicts[-1].outcome is Outcome.CANNOT_TELL
