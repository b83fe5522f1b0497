"""Which tasks spare rows, and the contract of one of them alone."""

from tasks.labels.spared import keep_chain, list_sparing_tasks
from tests.labels.engine import tasks

CLICK = {"positive": {"event": "click", "within": "PT1H"}}
OUT = {"event": "stock_out", "on": "item"}
SPEC = tasks(
    click=CLICK,
    buy={"positive": {"event": "buy", "within": "P1D"}, "exclude": [OUT]},
    back={
        "positive": {"event": "back", "within": "P1D", "after": "buy"},
        "exclude": [OUT, {**OUT, "before_positive": True}],
    },
    spent={
        "kind": "value",
        "value": {"event": "buy", "within": "P1D", "aggregate": "sum"},
        "exclude": [{**OUT, "before_positive": True}],
    },
)


def test_binary_tasks_with_before_positive_spare_rows() -> None:
    assert list_sparing_tasks(SPEC) == ("back",)


def test_a_task_alone_keeps_what_it_builds_on() -> None:
    assert list(keep_chain(SPEC, "back").tasks) == ["buy", "back"]
    assert list(keep_chain(SPEC, "click").tasks) == ["click"]
