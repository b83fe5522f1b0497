"""Words come from the contracts; what has none is called by its name."""

from pathlib import Path

import pytest

from tasks.contracts import Family, load_surface
from tasks.reports.words import Vocabulary, vocabulary
from tests.contracts.files import write_surface

SURFACES = Path(__file__).parents[2] / "surfaces"


def test_a_surface_says_what_its_tasks_guardrails_and_constraints_mean() -> None:
    words = vocabulary(load_surface(SURFACES, "weekly_circular"), champion=None)
    assert words.did("passed_over_7d") == "took another product"
    assert (words.tasks["passed_over_7d"].family, words.tasks["spend_7d"].value) == (Family.NEGATIVE, True)
    assert words.guards["purchase_7d_rate"] == "dear products alone are no success"
    assert words.constraints == {"price_unknown": "products whose usual price nobody knows"}
    assert words.primary == ("spend_7d_rate",)


@pytest.mark.parametrize(
    "surface", ["case_desk", "home_feed", "open_bandit", "short_video", "weekly_circular"]
)
def test_every_task_of_this_repository_is_described(surface: str) -> None:
    words = vocabulary(load_surface(SURFACES, surface), champion=None)
    assert all(task.did for task in words.tasks.values())


def test_a_release_stands_beside_the_champion_or_what_the_surface_names_for_a_first(tmp_path: Path) -> None:
    contracts = load_surface(SURFACES, "weekly_circular")
    assert vocabulary(contracts, champion=3).baseline == "champion 3"
    assert vocabulary(contracts, champion=None).baseline == "order of popularity"
    logged = load_surface(write_surface(tmp_path), "feed")
    assert vocabulary(logged, champion=None).baseline == "logged order"


def test_what_is_no_task_has_no_family_and_what_is_no_metric_is_none() -> None:
    words = Vocabulary()
    assert words.family("click") is None
    assert words.metric("click_rate") is None
    assert words.did("click") == "did click"
