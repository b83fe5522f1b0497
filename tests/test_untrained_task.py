"""A task with `train: false`, from its labels to what serves: measured and bounded, and in no release."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tasks import columns as c
from tasks.errors import ContractError
from tasks.labels.store import LabelStore
from tasks.pipeline import apply_policy
from tasks.release.view import load
from tasks.replay.logged_candidates import newest_candidates
from tests.contracts.files import setting
from tests.feeds import mini
from tests.feeds.mini import AS_OF, Retrained
from tests.verdicts import segment_of, subject_of

pytestmark = pytest.mark.e2e

REPORTED = {"family": "safety", "positive": {"event": "report", "within": "P2D"}, "train": False}
RAIL = {"metric": "report_2d_rate", "relative_increase_max": 1.0, "by": ["user_tenure"]}
UNDECIDED = "never trained, so no release predicts it"


def _with_reports(plain: dict[str, Any]) -> None:
    mini.two_tasks(plain)
    plain["tasks"]["report_2d"] = REPORTED


def _bounded(plain: dict[str, Any]) -> None:
    mini.utility_of_two(plain)
    plain["guardrails"].append(RAIL)


def _hides_bounded_alone(plain: dict[str, Any]) -> None:
    plain["version"] = 2
    plain["weights"].pop("hide_2d")
    plain["contexts"] = []
    plain["guardrails"] = [{"metric": "hide_2d_rate", "relative_increase_max": 2.0}, RAIL]


@pytest.fixture(scope="module")
def first(mini_world: Path, mini_surfaces: Path, tmp_path_factory: pytest.TempPathFactory) -> Retrained:
    """Clicks and hides are trained, reports are not: there are fewer than a model needs."""
    folder = tmp_path_factory.mktemp("untrained")
    whole = mini.with_log(mini_surfaces, mini_world, folder)
    changes = {"tasks": _with_reports, "surface": mini.surface_of_two, "utility": _bounded}
    return Retrained.run(mini.changed(whole, folder, **changes), as_of=AS_OF)


@pytest.fixture(scope="module")
def second(first: Retrained, tmp_path_factory: pytest.TempPathFactory) -> Retrained:
    """Hides are trained no more, beside a champion that predicts them."""
    mini.set_champion(first.workspace, 1)
    folder = tmp_path_factory.mktemp("hides_untrained")
    changes = {"tasks": setting("tasks.hide_2d.train", False), "utility": _hides_bounded_alone}
    return Retrained.run(mini.changed(first.workspace, folder, **changes), as_of=AS_OF)


def _judged(retrained: Retrained, task: str) -> dict[str, dict[str, Any]]:
    """Return the verdicts that name a task, by gate and subject, on the whole."""
    whole = [gate for gate in retrained.result.gates if segment_of(gate) == "all"]
    return {f"{one['gate']} {subject_of(one)}": one for one in whole if task in str(subject_of(one))}


def test_its_labels_are_built_and_a_release_has_no_part_and_no_column_of_it(first: Retrained) -> None:
    workspace, found = first.workspace, Counter[str]()
    labels = LabelStore(workspace.store, workspace.surface).find(None)
    for status in labels.read([c.status("report_2d")]).column(0).to_pylist():
        found[status] += 1
    assert found["observed"] > 0
    assert found["immature"] > 0
    assert workspace.releases.manifest(1).tasks == ("click_30m", "hide_2d")
    assert not [name for name in first.versions if "report" in name]
    scored = load(workspace, 1).score(newest_candidates(workspace, as_of=AS_OF))
    assert not [name for name in map(str, scored) if "report" in name]
    assert c.probability("hide_2d") in scored


def test_its_guardrail_alone_judges_it_and_few_events_decide_nothing(first: Retrained) -> None:
    judged = _judged(first, "report_2d")
    assert [*judged] == ["decision report_2d_rate"]
    (rate,) = judged.values()
    assert (rate["outcome"], rate["reason"]) == (
        "inconclusive",
        f"not measurable offline (0 events): {UNDECIDED}",
    )
    assert first.result.verdict == "promote"  # gates.inconclusive: warn
    assert len([one for one in first.result.gates if subject_of(one) == "report_2d_rate"]) == 2  # by segment
    assert "Measured, never trained: report_2d<" in Path(first.result.dossier).read_text(encoding="utf-8")


def test_a_task_that_the_champion_trained_leaves_the_release_and_stays_measured(second: Retrained) -> None:
    assert second.workspace.releases.manifest(2).tasks == ("click_30m",)
    judged = _judged(second, "hide_2d")
    assert [*judged] == ["decision hide_2d_rate"]
    assert judged["decision hide_2d_rate"]["reason"].endswith(f" events): {UNDECIDED}")
    assert second.result.verdict == "promote"
    assert "hide_2d is gone" in Path(second.result.dossier).read_text(encoding="utf-8")


def test_the_models_of_the_others_are_found_again(first: Retrained, second: Retrained) -> None:
    kept = {name: of for name, of in first.versions.items() if name.endswith((".click_30m", ".hide_2d"))}
    assert {name: second.versions[name] for name in kept} == kept


def test_a_change_of_policy_alone_cannot_leave_a_task_untrained(second: Retrained) -> None:
    with pytest.raises(ContractError, match=r"tasks.yaml is not that of champion 1, .*a retrain is needed"):
        apply_policy(second.workspace)
