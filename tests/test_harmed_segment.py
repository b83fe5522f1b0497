"""A release that is as good as the champion on the whole and harms one segment, from its retrain to its page."""

import re
from pathlib import Path
from typing import Any

import pytest

from tasks.pipeline import RetrainResult, retrain
from tasks.stores.workspace import Workspace
from tests.feeds import mini
from tests.feeds.mini import AS_OF
from tests.verdicts import segment_of, subject_of

pytestmark = pytest.mark.e2e

RAIL = {
    "metric": "hide_2d_predicted",
    "relative_increase_max": 0.25,
    "by": ["user_tenure"],
    "action": "block",
}


def _champion(plain: dict[str, Any]) -> None:
    mini.utility_of_two(plain)
    plain["guardrails"] = [{"metric": "hide_2d_rate", "relative_increase_max": 3.0}, RAIL]


def _careless_with_new_users(plain: dict[str, Any]) -> None:
    """Let what new users hide cost next to nothing, and what all others hide twice as much."""
    plain["version"] = 2
    plain["weights"]["hide_2d"] = 2 * plain["weights"]["hide_2d"]
    plain["contexts"] = [
        {"name": "new_users", "when": {"user_tenure": ["new"]}, "weights": {"hide_2d": -0.001}}
    ]


@pytest.fixture(scope="module")
def workspace(mini_world: Path, mini_surfaces: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("harmed")
    whole = mini.with_log(mini_surfaces, mini_world, folder)
    served = mini.changed(
        whole, folder / "first", tasks=mini.two_tasks, surface=mini.surface_of_two, utility=_champion
    )
    assert retrain(served, as_of=AS_OF).release == 1
    mini.set_champion(served, 1)
    return mini.changed(served, folder / "second", utility=_careless_with_new_users)


@pytest.fixture(scope="module")
def result(workspace: Workspace) -> RetrainResult:
    return retrain(workspace, as_of=AS_OF)


def test_the_harmed_segment_alone_blocks_and_is_the_first_reason(result: RetrainResult) -> None:
    assert (result.release, result.verdict) == (2, "hold")
    rails = [gate for gate in result.gates if subject_of(gate) == "hide_2d_predicted"]
    outcomes = {segment_of(gate): gate["outcome"] for gate in rails}
    assert outcomes.pop("user_tenure=new") == "block"
    assert outcomes == {"all": "pass", "user_tenure=loyal": "pass", "user_tenure=returning": "pass"}
    blocked = {(subject_of(gate), segment_of(gate)) for gate in result.gates if gate["outcome"] == "block"}
    new = "user_tenure=new"
    assert blocked == {("observed_utility", new), ("hide_2d_predicted", new)}
    assert result.reasons[0].startswith("decision: observed utility, user_tenure = new: ")


def test_the_harmed_segment_comes_first_on_the_page(workspace: Workspace, result: RetrainResult) -> None:
    evidence = mini.first_evidence(workspace, "simulate", release=2)
    page = Path(evidence["report"]).read_text(encoding="utf-8")
    harmed, rest = page.split("<h2>", 2)[1:]
    assert harmed.startswith("Harmed segments</h2>")
    assert "user_tenure=new" in harmed
    first = next(part for part in rest.split("<summary>")[1:] if re.match(r"[a-z_]+=", part))
    assert first.startswith(
        'user_tenure=new, <span class="block">harmed: observed_utility, hide_2d_predicted</span>'
    )
    assert "<details open><summary>user_tenure=new" in page
