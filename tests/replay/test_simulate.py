"""A release's decision replayed on its test slice: against the logged order first, then the champion.

A policy's utility taken apart into what each task adds to a slot, by hand.
"""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tasks.contracts.load import read_yaml
from tasks.contracts.utility import Term
from tasks.errors import ContractError, DataError
from tasks.replay import simulate
from tasks.replay.log import CandidateLog, PolicySlates
from tasks.replay.simulate import composition
from tasks.stores.workspace import Workspace
from tests.feeds import mini
from tests.feeds.mini import BINARY, NAME, Retrained
from tests.stores.plain_evidence import read_plain
from tests.verdicts import segment_of, subject_of


@pytest.fixture(scope="module")
def alone(repeated: Retrained) -> dict[str, Any]:
    """What the simulation of a release without a champion rests on."""
    return mini.first_evidence(repeated.workspace, "simulate", release=1)


@pytest.fixture(scope="module")
def beside(second_retrain: Retrained) -> dict[str, Any]:
    """What the simulation of a release beside a champion rests on."""
    return mini.first_evidence(second_retrain.workspace, "simulate", release=2)


def test_without_a_champion_the_logged_order_stands_in(alone: dict[str, Any]) -> None:
    assert (alone["champion"], alone["baseline"]) == (None, "logged order")
    assert alone["comparisons"] is None


def test_the_logged_order_predicts_nothing_so_the_release_alone_is_believed(alone: dict[str, Any]) -> None:
    assert _judges(alone, "hide_2d_predicted") == {"release 1"}


def test_beside_a_champion_predictions_are_judged_by_both(beside: dict[str, Any]) -> None:
    assert beside["baseline"] == "champion 1"
    assert _judges(beside, "hide_2d_predicted") == {"release 2", "champion 1"}


def test_a_guardrail_speaks_of_every_segment_that_it_names(beside: dict[str, Any]) -> None:
    said = [
        segment_of(verdict) for verdict in beside["guardrails"] if subject_of(verdict) == "hide_2d_predicted"
    ]
    assert said == ["all", "user_tenure=loyal", "user_tenure=new", "user_tenure=returning"]


def test_every_probability_whose_labels_are_mature_is_compared(beside: dict[str, Any]) -> None:
    compared = [one["task"] for one in beside["comparisons"]]
    assert compared == [task for task in BINARY if task != "return_5d"]


def test_the_same_model_differs_from_itself_by_nothing_in_no_resample(beside: dict[str, Any]) -> None:
    """Purchases are predicted by the champion's own model: paired, its drop has no spread; unpaired it would."""
    drop = _compared(beside, "purchase_2d")["auc_drop"]
    assert (drop["value"], drop["low"], drop["high"]) == (0, 0, 0)
    trained = _compared(beside, "click_30m")["auc_drop"]
    assert trained["low"] < trained["value"] < trained["high"]


def test_twice_the_weight_on_clicks_brings_more_of_them(beside: dict[str, Any]) -> None:
    (found,) = [one for one in beside["measured"] if subject_of(one) == "click_30m_predicted"]
    assert found["reference_model"] == "release 2 and champion 1"
    assert found["relative"]["value"] > 0


def test_the_report_shows_rates_guardrails_and_what_a_replay_cannot_prove(beside: dict[str, Any]) -> None:
    html = Path(beside["report"]).read_text(encoding="utf-8")
    for words in ("release 2 against champion 1", "hide_2d_rate", "it does not prove"):
        assert words in html


def test_the_same_simulation_again_is_the_same_run(second_retrain: Retrained) -> None:
    first = simulate.run(second_retrain.workspace, release=2)
    assert simulate.run(second_retrain.workspace, release=2, baseline="1") == first


def test_another_policy_is_shown_on_the_same_predictions(second_retrain: Retrained, tmp_path: Path) -> None:
    workspace = second_retrain.workspace
    policy = _policy(second_retrain, tmp_path, hide_2d=-50.0)
    ran = simulate.run(workspace, release=2, policies=[policy])
    assert ran.run_id != simulate.run(workspace, release=2).run_id
    assert ran.selection.policies >= 2
    assert ran.selection.best is None or ran.selection.best.name == str(policy)
    assert str(policy) in Path(ran.report).read_text(encoding="utf-8")
    own, further = ran.policies
    verdicts, figures = further["verdicts"], ran.others[str(policy)]
    assert {subject_of(one) for one in verdicts} >= {subject_of(one) for one in ran.guardrails}
    assert [subject_of(one) for one in figures] == [subject_of(one) for one in ran.measured]
    ours, theirs = (
        next(one for one in rows if subject_of(one) == "hide_2d_rate") for rows in (ran.measured, figures)
    )
    assert ours["baseline"]["value"] == theirs["baseline"]["value"]
    change = theirs["relative"]
    assert change["value"] == pytest.approx(theirs["policy"]["value"] / theirs["baseline"]["value"] - 1)
    assert change["low"] < change["value"] < change["high"]
    assert 0 < theirs["labelled_share"] < 1
    assert (own["name"], further["name"], own["verdicts"]) == ("release 2", str(policy), ran.guardrails)
    summary = further["metrics"]["hide_2d_rate"]
    assert (summary["value"], summary["baseline"]) == (theirs["policy"]["value"], ours["baseline"]["value"])
    assert (summary["change_low"], summary["change_high"]) == (change["low"], change["high"])


def test_a_guardrail_with_an_anchor_is_held_against_that_release_whatever_the_baseline(
    second_retrain: Retrained, tmp_path: Path
) -> None:
    def anchored(plain: dict[str, Any]) -> None:
        mini.version_2(plain)
        plain["guardrails"][0] = {
            "metric": "hide_2d_rate",
            "relative_increase_max": 2.0,
            "anchor": "1",
            "action": "block",
        }

    workspace = mini.changed(second_retrain.workspace, tmp_path, utility=anchored)
    ran = simulate.run(workspace, release=2, baseline="logged")
    plain = read_plain(workspace.home, ran.run_id)
    changes = {
        baseline: _change(simulate.run(second_retrain.workspace, release=2, baseline=baseline), workspace)
        for baseline in ("logged", "1")
    }
    (judged,) = [one for one in plain["guardrails"] if subject_of(one) == "hide_2d_rate"]
    assert judged["observed"]["value"] == pytest.approx(changes["1"])
    assert changes["1"] != pytest.approx(changes["logged"])


def test_an_unknown_baseline_is_named(second_retrain: Retrained) -> None:
    with pytest.raises(ContractError, match="Unknown version '17'"):
        simulate.run(second_retrain.workspace, release=2, baseline="17")
    with pytest.raises(DataError, match=r"Unknown baseline 'champoin'.*Did you mean 'champion'"):
        simulate.run(second_retrain.workspace, release=2, baseline="champoin")
    with pytest.raises(DataError, match="Unknown baseline 'hide_2d'"):  # an outcome knows the future
        simulate.run(second_retrain.workspace, release=2, baseline="hide_2d")


def test_any_numeric_column_may_stand_in_as_an_order(second_retrain: Retrained) -> None:
    workspace = second_retrain.workspace
    ran = simulate.run(workspace, release=2, baseline="price")
    assert ran.baseline == "order of price"
    assert read_plain(workspace.home, ran.run_id)["champion"] is None
    with pytest.raises(DataError, match="Column 'category' holds"):
        simulate.run(workspace, release=2, baseline="category")


def test_evidence_is_plain_json_without_what_is_not_finite(second_retrain: Retrained) -> None:
    run_id = simulate.run(second_retrain.workspace, release=2).run_id
    figures = [one for one in read_plain(second_retrain.workspace.home, run_id)["measured"] if one["policy"]]
    values = [one["policy"]["value"] for one in figures]
    assert np.isfinite([value for value in values if value is not None]).all()


def _change(ran: simulate.SimulateResult, workspace: Workspace) -> float:
    """Return the relative change of hides that a simulation measured."""
    measured = read_plain(workspace.home, ran.run_id)["measured"]
    (found,) = [one for one in measured if subject_of(one) == "hide_2d_rate" and not one["segment"]]
    value: float = found["relative"]["value"]
    return value


def _judges(evidence: dict[str, Any], metric: str) -> set[str]:
    return {one["reference_model"] for one in evidence["measured"] if subject_of(one) == metric}


def _compared(evidence: dict[str, Any], task: str) -> dict[str, Any]:
    (found,) = [one for one in evidence["comparisons"] if one["task"] == task]
    return found


def _policy(second: Retrained, folder: Path, **weights: float) -> Path:
    """Write the second policy with other weights."""
    plain = read_yaml(second.workspace.surfaces / NAME / "utility.yaml")
    plain["weights"].update(weights)
    file = folder / "policy.yaml"
    file.write_text(yaml.safe_dump(plain), encoding="utf-8")
    return file


def test_bounds_of_outcomes_stand_beside_what_propensities_alone_say(beside: dict[str, Any]) -> None:
    checks = {subject_of(one): one for one in beside["off_policy"]}
    assert set(checks) == {"observed_utility", "hide_2d_rate"}  # predictions need no estimate
    (replayed,) = [
        one["relative"]
        for one in beside["measured"]
        if subject_of(one) == "hide_2d_rate" and not one["segment"]
    ]
    assert checks["hide_2d_rate"]["replayed"] == pytest.approx(replayed)
    assert checks["hide_2d_rate"]["verdict"] == "inconclusive"  # ten slots, 480 requests
    assert "equal users" in checks["hide_2d_rate"]["reason"]


def test_the_terms_add_up_to_the_utility_of_a_slot_and_carry_the_pinned_weights(
    alone: dict[str, Any],
) -> None:
    made = alone["composition"]
    weights = {term["task"]: term["weight"] for term in made["terms"]}
    assert weights["purchase_2d"] == 10
    assert weights["hide_2d"] == -5
    assert sum(term["contribution"] for term in made["terms"]) == pytest.approx(made["utility"])
    assert made["spread"] > 0


LOG = CandidateLog(
    requests=np.array([0, 0, 1, 1]),
    users=np.array([0, 0, 1, 1]),
    items=np.arange(4),
    logged_position=np.array([1.0, 2.0, 1.0, 2.0]),
    shown=np.ones(4, dtype=bool),
    labels={},
    outcomes={},
    segments={},
    days=np.zeros(4, dtype=int),
    dates=(date(2026, 3, 1),),
    examination=None,
    positions_logged=True,
    complete=True,
    inclusion=None,
)
SLATES = PolicySlates(
    name="release 1",
    slot=np.array([1, 0, 1, 2]),
    predictions={"click": np.array([0.2, 0.1, 0.4, 0.2])},
    utility=np.array([2.0, 1.0, 4.0, 1.0]),
    contributions={"click": np.array([2.0, 1.0, 4.0, 2.0]), "hide": np.array([0.0, 0.0, 0.0, -1.0])},
)


DECLARED = {
    "click": Term(task="click", weight=2.0, times="margin"),
    "hide": Term(task="hide", weight=-1.0),
}


def test_means_are_over_the_slots_and_spreads_over_all_candidates_of_a_request() -> None:
    made = composition(LOG, SLATES, DECLARED)
    assert made is not None
    assert made.utility == pytest.approx((2 + 4 + 1) / 3)
    assert made.spread == pytest.approx(np.sqrt((2 * 0.5**2 + 2 * 1.5**2) / 4))
    click, hide = made.terms
    assert (click.task, click.weight, click.times) == ("click", 2.0, "margin")
    assert (hide.task, hide.weight, hide.heads) == ("hide", -1.0, ("hide",))
    assert click.prediction == pytest.approx((0.2 + 0.4 + 0.2) / 3)
    assert click.contribution == pytest.approx((2 + 4 + 2) / 3)
    assert click.spread == pytest.approx(np.sqrt((2 * 0.5**2 + 2 * 1.0**2) / 4))
    assert hide.contribution == pytest.approx(-1 / 3)
    assert np.isnan(hide.prediction)


def test_a_candidate_without_a_utility_takes_no_part() -> None:
    unknown = replace(SLATES, utility=np.array([2.0, np.nan, 4.0, 1.0]))
    made = composition(LOG, unknown, DECLARED)
    assert made is not None
    assert made.spread == pytest.approx(np.sqrt(2 * 1.5**2 / 3))


def test_an_order_without_a_utility_has_no_composition() -> None:
    assert composition(LOG, PolicySlates("logged order", SLATES.slot), {}) is None
