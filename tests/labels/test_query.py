"""A compiled query: the form that a key suggests, and the order of its relations."""

import pytest

from tasks.labels.compile import label_query
from tasks.labels.query import Form, Horizon, LabelQuery
from tasks.sql.templates import render
from tests.labels.engine import LOG, tasks


def query(match: list[str], form: Form | None = None) -> LabelQuery:
    click = {"event": "click", "within": "PT1H", "match": match}
    forms = {"click__credited": form} if form else {}
    return label_query(tasks(click={"positive": click}), Horizon.whole(None), log=LOG, forms=forms)


@pytest.mark.parametrize(
    ("match", "form"),
    [
        (["request_id"], Form.JOIN),
        (["user_id", "item_id"], Form.JOIN),
        (["kind", "item_id", "user_id"], Form.JOIN),
        (["user_id"], Form.SCAN),
        (["item_id", "kind"], Form.SCAN),
    ],
)
def test_keys_that_few_rows_share_are_joined(match: list[str], form: Form) -> None:
    ((crediting,),) = query(match).creditings.values()
    assert crediting.usual is form


def test_a_form_that_is_named_is_taken() -> None:
    usual, scanned = query(["request_id"]).credit, query(["request_id"], Form.SCAN).credit
    assert render(usual["click"]["click__credited"]) != render(scanned["click"]["click__credited"])


def test_the_rows_of_a_cut_log_do_not_look_for_repeated_keys_again() -> None:
    whole = query(["user_id"])
    assert list(whole.rows) == ["repeated", "first_of_repeated", "shown", "known"]
    assert list(whole.on_the_cut) == ["shown", "known"]


def test_the_statement_defines_each_relation_before_it_is_used() -> None:
    whole = query(["user_id"])
    names = [cte.alias for cte in whole.statement().ctes]
    assert names == [*whole.rows, *whole.credit["click"], *whole.layers]
    assert whole.last_layer == names[-1] == "labels_0"
