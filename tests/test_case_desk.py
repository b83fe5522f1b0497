"""Releases of the simulated workbench: acceptance alone is held, and so is a release that harms one tenant."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tasks.datasets.case_desk import TENANTS
from tasks.evaluation.subjects import Segment
from tasks.pipeline import RetrainResult, retrain
from tasks.promotion import compose
from tasks.stores.workspace import Workspace
from tests.contracts.files import setting
from tests.feeds import mini
from tests.feeds.desk import AS_OF, NAME, desk
from tests.feeds.mini import Change
from tests.verdicts import segment_of, subject_of

pytestmark = pytest.mark.e2e

RAILS = [
    {"metric": "rework_30d_rate", "relative_increase_max": 0.15, "action": "block"},
    {"metric": "rework_30d_predicted", "relative_increase_max": 0.1, "by": ["tenant"], "action": "block"},
]


def _acceptance_alone(plain: dict[str, Any]) -> None:
    plain |= {"version": 2, "weights": {"accepted_15m": 1.0}, "terms": {}, "contexts": []}


def _careless_in_one_tenant(plain: dict[str, Any]) -> None:
    """Rank by acceptance in one tenant, and weigh rework more in all others."""
    plain["version"] = 3
    plain["weights"]["rework_30d"] = -150.0
    ease = {"case_progress_3d": 0.001, "sla_met": 0.001, "rework_30d": -0.001, "accepted_15m": 1.0}
    plain["contexts"].insert(0, {"name": "dune", "when": {"tenant": ["dune"]}, "weights": ease})


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = desk(tmp_path_factory.mktemp("case_desk"), utility=setting("guardrails", RAILS))
    assert retrain(workspace, as_of=AS_OF).release == 1
    mini.set_champion(workspace, 1)
    return workspace


def retrained(champion: Workspace, folder: Path, change: Change) -> RetrainResult:
    surfaces = Path(shutil.copytree(champion.surfaces, folder / "surfaces"))
    mini.rewrite(surfaces / NAME / "utility.yaml", change)
    return retrain(Workspace.open(NAME, surfaces=surfaces, home=champion.home), as_of=AS_OF)


def outcomes(result: RetrainResult, subject: str) -> dict[str, str]:
    """Return the outcome of a subject by segment."""
    return {segment_of(gate): gate["outcome"] for gate in result.gates if subject_of(gate) == subject}


def test_acceptance_alone_is_held_for_its_utility_and_its_rework(champion: Workspace, tmp_path: Path) -> None:
    result = retrained(champion, tmp_path, _acceptance_alone)
    assert result.verdict == "hold"
    rework = outcomes(result, "rework_30d_predicted")
    assert rework["all"] == "block"
    assert outcomes(result, "observed_utility")["tenant=aurora"] == "block"


def test_a_tenant_that_is_harmed_holds_a_release_that_is_better_overall(
    champion: Workspace, tmp_path: Path
) -> None:
    result = retrained(champion, tmp_path, _careless_in_one_tenant)
    assert result.verdict == "hold"
    utility = outcomes(result, "observed_utility")
    assert (utility["all"], outcomes(result, "rework_30d_predicted")["all"]) == ("pass", "pass")
    assert [segment for segment, outcome in utility.items() if outcome == "block"] == ["tenant=dune"]
    page = compose.write_page(
        champion, release=result.release, browse=False, segment=Segment("tenant", "aurora")
    )
    text = Path(page.dossier).read_text(encoding="utf-8")
    assert "observed utility" in text
    assert not [name for name in set(TENANTS) - {"aurora"} if name in text]
