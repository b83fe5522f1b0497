"""All evidence of a release becomes one verdict, and each figure names the run that it comes from."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import ContractError, StoreError
from tasks.evaluation.evidence import AMPLIFIED
from tasks.promotion import gate
from tasks.promotion.gate import StepRuns
from tests.contracts.files import setting
from tests.feeds import mini
from tests.feeds.mini import Retrained
from tests.verdicts import subject_of


@pytest.fixture(scope="module")
def runs(second_retrain: Retrained) -> StepRuns:
    """The runs that the second release was judged by."""
    workspace = second_retrain.workspace
    snapshot = second_retrain.workspace.releases.manifest(f"{second_retrain.result.release}").snapshot.id
    return StepRuns(
        validation=mini.step_runs(workspace, "validate", snapshot=snapshot)[0],
        simulation=mini.step_runs(workspace, "simulate", release=2)[0],
        shadow=mini.step_runs(workspace, "shadow", release=2)[0],
    )


@pytest.mark.parametrize("which", [0, 1], ids=["first", "second"])
def test_every_figure_of_the_dossier_has_its_run(
    which: int, first_retrain: Retrained, second_retrain: Retrained
) -> None:
    judged = (first_retrain, second_retrain)[which]
    client = judged.workspace.store.registry.client
    with_figures = [one for one in judged.result.gates if one["observed"] is not None]
    assert len(with_figures) > 30
    steps = set()
    for run_id in {one["evidence"] for one in with_figures}:
        run = client.get_run(run_id)
        assert run.info.status == "FINISHED"
        steps.add(run.data.tags["step"])
    assert steps == {"release", "simulate", "shadow"}


@pytest.mark.parametrize("which", [0, 1], ids=["first", "second"])
def test_every_row_names_a_run_that_is_there(
    which: int, first_retrain: Retrained, second_retrain: Retrained
) -> None:
    judged = (first_retrain, second_retrain)[which]
    client = judged.workspace.store.registry.client
    assert [subject_of(one) for one in judged.result.gates if not one["evidence"]] == []
    for run_id in {one["evidence"] for one in judged.result.gates}:
        assert client.get_run(run_id).info.status == "FINISHED"


def test_lineage_policy_and_parity_are_rows_of_both_releases(
    first_retrain: Retrained, second_retrain: Retrained
) -> None:
    for judged in (first_retrain, second_retrain):
        rows = {f"{one['gate']} {subject_of(one)}": one["outcome"] for one in judged.result.gates}
        for row in ("lineage pins", "lineage labels", "lineage training_days", "policy in_force"):
            assert rows[row] == "pass"
        assert (rows["policy utility_version"], rows["policy approvals"]) == ("pass", "pass")
        assert (rows["parity served"], rows["parity packed"]) == ("no_rule", "pass")
        assert rows["shadow error_rate"] == "pass"
        assert rows["decision front"] == "no_rule"


def test_a_row_says_what_newer_rows_alone_may_have_gained(
    first_retrain: Retrained, second_retrain: Retrained
) -> None:
    first, second = (
        next(one for one in judged.result.gates if subject_of(one) == "same_day_champion")
        for judged in (first_retrain, second_retrain)
    )
    assert (first["outcome"], first["reason"]) == ("no_rule", "no champion to compare with")
    assert second["reason"] == "same recipe: what differs is data only, newer by 2 days"


def test_what_the_clock_said_is_judged_and_stands_apart_from_what_approvals_rest_on(
    second_retrain: Retrained,
) -> None:
    page = Path(second_retrain.result.dossier)
    plain = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    (timing,) = plain["timings"]
    assert (timing["gate"], subject_of(timing), timing["observed"]["n"]) == ("latency", "scoring_time", 12)
    assert not [one for one in second_retrain.result.gates if one["gate"] == "latency"]
    assert "scoring_time" in page.read_text(encoding="utf-8")


def test_the_validation_is_evidence_too(first_retrain: Retrained) -> None:
    (verdict,) = [one for one in first_retrain.result.gates if subject_of(one) == "validation"]
    run = first_retrain.workspace.store.registry.client.get_run(verdict["evidence"])
    assert run.data.tags["step"] == "validate"


def test_no_figure_comes_without_an_interval_or_how_many_it_rests_on(first_retrain: Retrained) -> None:
    for one in first_retrain.result.gates:
        if one["observed"] is not None:
            assert set(one["observed"]) == {"value", "low", "high", "n"}, subject_of(one)
            assert one["threshold"], subject_of(one)


def test_the_dossier_is_a_page_and_the_same_as_json(first_retrain: Retrained) -> None:
    page = Path(first_retrain.result.dossier)
    plain = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    assert plain["gates"] == first_retrain.result.gates
    assert "home_feed release 1: promote" in page.read_text(encoding="utf-8")


def test_the_verdict_stands_in_the_registry(first_retrain: Retrained) -> None:
    (first,) = [one for one in first_retrain.workspace.releases.summaries() if one["version"] == 1]
    assert first["verdict"] == "promote"


def test_judging_again_by_the_same_runs_says_the_same(second_retrain: Retrained, runs: StepRuns) -> None:
    again = gate.run(second_retrain.workspace, release=2, steps=runs)
    shown, result = again.evidence.to_json(), second_retrain.result
    assert (shown["verdict"], shown["reasons"], shown["gates"]) == (
        result.verdict,
        result.reasons,
        result.gates,
    )


@pytest.mark.parametrize(
    ("step", "tags"),
    [
        ("simulation", {"step": "simulate", "release": 1}),
        ("shadow", {"step": "shadow", "release": 1}),
        ("validation", {"step": "validate"}),
    ],
)
def test_evidence_about_something_else_is_refused(
    second_retrain: Retrained, runs: StepRuns, step: str, tags: dict[str, Any]
) -> None:
    foreign: Any = mini.step_runs(second_retrain.workspace, **tags)[0]
    assert foreign != getattr(runs, step)
    with pytest.raises(ContractError, match=f"The {step}'s evidence is about .*; to evaluate release 2"):
        gate.run(second_retrain.workspace, release=2, steps=replace(runs, **{step: foreign}))


def test_the_run_of_another_step_is_refused(second_retrain: Retrained, runs: StepRuns) -> None:
    with pytest.raises(ContractError, match=f"Run {runs.validation} holds validation evidence, not shadow"):
        gate.run(second_retrain.workspace, release=2, steps=replace(runs, shadow=runs.validation))


def test_a_run_that_is_not_there_is_named(second_retrain: Retrained, runs: StepRuns) -> None:
    with pytest.raises(StoreError, match="Run nowhere has no readable evidence"):
        gate.run(second_retrain.workspace, release=2, steps=replace(runs, shadow="nowhere"))


def test_a_stricter_gate_holds_the_same_release_and_says_why(
    second_retrain: Retrained, runs: StepRuns, tmp_path: Path
) -> None:
    strict = mini.changed(
        second_retrain.workspace, tmp_path, surface=setting("gates.shadow.overlap_at_k_min", 1.0)
    )
    held = gate.run(strict, release=2, steps=runs)
    assert held.evidence.verdict == "hold"
    assert held.evidence.reasons[0].startswith("shadow: overlap with the champion's slots ")
    restored = gate.run(second_retrain.workspace, release=2, steps=runs)
    assert restored.evidence.verdict == "promote"


def test_the_dossier_tells_calibration_in_the_slots_and_what_the_utility_makes_of_it(
    first_retrain: Retrained,
) -> None:
    plain = json.loads(Path(first_retrain.result.dossier).with_suffix(".json").read_text(encoding="utf-8"))
    assert plain["calibration_in_slots"]["click_30m"]["low"] > 0
    terms = {term["task"]: term for term in plain["sensitivity"]}
    click = terms["click_30m"]
    assert click["error"]["value"] == pytest.approx(click["contribution"] * (click["slots"]["value"] - 1))
    page = Path(first_retrain.result.dossier).read_text(encoding="utf-8")
    named = [task for task, term in terms.items() if not term["share"] or term["share"] >= AMPLIFIED]
    assert named
    for task in named:
        assert f'<li class="warn">{task}: ' in page
