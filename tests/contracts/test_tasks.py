from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contracts.durations import format_duration, parse_duration
from tasks.contracts.metrics import MetricKind, metric_names, parse_metric
from tasks.contracts.tasks import TasksSpec
from tests.contracts.files import VALID

TASKS = TasksSpec.model_validate(VALID["tasks"])


def test_maturity_is_the_sum_of_windows_along_the_chain() -> None:
    assert TASKS.chain("return") == ("buy", "return")
    assert TASKS.maturity("return") == timedelta(days=37)
    assert TASKS.own_window("return") == timedelta(days=30)


def test_a_composite_matures_with_its_slowest_part() -> None:
    assert TASKS.maturity("happy") == timedelta(days=37)
    assert TASKS.own_window("happy") == timedelta(days=30)


def test_parents_and_parts_come_before_what_builds_on_them() -> None:
    order = TASKS.order()
    assert sorted(order) == sorted(TASKS.tasks)
    assert order.index("buy") < order.index("return") < order.index("happy")


def test_every_event_name_of_the_contract_is_known() -> None:
    assert TASKS.events == {"click", "purchase", "return", "visit"}


@given(st.integers(1, 3650 * 86400))
def test_a_duration_comes_back_from_its_text(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize("text", ["P", "PT", "7D", "P1Y", "P1.5D", "-P1D", "P99999999999D", 7, None, True])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"duration|at most"):
        parse_duration(text)


def test_every_listed_metric_name_parses_back() -> None:
    names = metric_names(["hide_7d", "hide_7d_rate"], ["source"])
    parsed = [parse_metric(n, tasks=["hide_7d", "hide_7d_rate"], columns=["source"]) for n in names]
    assert all(parsed)


def test_the_share_of_a_columns_value_keeps_the_value() -> None:
    metric = parse_metric("source_share:a_b", tasks=[], columns=["source"])
    assert metric is not None
    assert (metric.kind, metric.subject, metric.value) == (MetricKind.SHARE, "source", "a_b")
