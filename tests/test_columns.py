"""Names of columns are built in one place, and no two meanings share a name."""

import pytest

from tasks import columns as c


def test_an_impression_is_one_candidate_of_one_request() -> None:
    assert c.IMPRESSION_KEY == ("request_id", "item_id")


def test_a_label_has_its_status_and_its_instant_beside_it() -> None:
    assert (c.status("click"), c.at("click")) == ("click__status", "click__at")


@pytest.mark.parametrize(
    ("kind", "column"),
    [("binary", "p_buy"), ("value", "v_buy"), ("quantile", "q_buy"), ("ranking", "s_buy")],
)
def test_a_prediction_is_named_by_what_its_head_predicts(kind: str, column: str) -> None:
    assert c.predicted("buy", kind) == column


def test_a_prediction_at_the_place_where_the_item_stood_has_a_name_of_its_own() -> None:
    assert c.at_position(c.probability("buy")) == "p_buy__shown"
    assert c.at_position(c.given("buy")) == "p_buy__given__shown"


def test_no_two_columns_of_a_task_share_a_name() -> None:
    named = (c.status, c.at, c.probability, c.given, c.expected_value, c.quantile, c.ranking_score)
    names = [name("buy") for name in named] + [c.served(c.probability("buy")), "buy"]
    assert len(set(names)) == len(names)


def test_the_four_statuses_are_written_in_lower_case() -> None:
    assert [str(status) for status in c.Status] == ["observed", "immature", "excluded", "not_applicable"]
