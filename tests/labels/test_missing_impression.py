"""An impression that a snapshot lacks: in quarantine, too late, or never logged."""

import pytest

from tasks.labels.missing_impression import find_shown_at
from tasks.stores.workspace import Workspace
from tests.labels.test_explain import built, refused, shown
from tests.logs.small_log import Shop, at, impressions, instants


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    impressions = [shown("r-17", 2), shown("r-17", 2, item_id=2), shown("r-18", 2), shown("s-99", 11.5)]
    return built(tmp_path_factory.mktemp("missing"), [*impressions, shown("q", 2, item_id=None)], as_of=11)


def test_an_unknown_item_is_answered_with_those_of_the_request(workspace: Workspace) -> None:
    assert refused(workspace, "r-17/3").endswith("Items of this request: 1, 2.")


def test_an_unknown_request_is_answered_with_the_nearest(workspace: Workspace) -> None:
    assert refused(workspace, "r-19/1").endswith("the nearest: r-17, r-18.")


def test_an_impression_after_the_as_of_is_said_to_be_later(workspace: Workspace) -> None:
    assert "shown 2024-03-11T12:00:00Z: not before the as-of, 2024-03-11T00:00:00Z" in refused(
        workspace, "s-99/1"
    )


def test_an_impression_without_its_key_is_said_to_be_in_quarantine(workspace: Workspace) -> None:
    assert refused(workspace, "q/1").endswith(
        "without item_id is in quarantine (no_key): request_id, item_id or shown_at is null."
    )


def test_every_instant_of_a_key_is_found_whatever_the_as_of(shop: Shop) -> None:
    shop.put("impressions", impressions(), impressions(shown_at=instants(700, 0, 1, 1, 30, 30)).slice(0, 1))
    with shop.opened() as log:
        assert find_shown_at(log, {"request_id": "q", "item_id": 1}) == [at(0), at(700)]
        assert find_shown_at(log, {"request_id": "q", "item_id": 9}) == []
