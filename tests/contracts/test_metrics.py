"""A metric's name says what it measures, of which task or column."""

import pytest

from tasks.contracts.metrics import Metric, MetricKind, known_metrics, parse_metric, read_metric


def test_every_listed_metric_name_parses_back() -> None:
    names = [one.name for one in known_metrics(["hide_7d", "hide_7d_rate"], ["source"])]
    parsed = [parse_metric(n, tasks=["hide_7d", "hide_7d_rate"], columns=["source"]) for n in names]
    assert all(parsed)


def test_the_share_of_a_columns_value_keeps_the_value() -> None:
    metric = parse_metric("source_share:a_b", tasks=[], columns=["source"])
    assert metric is not None
    assert (metric.kind, metric.subject, metric.value) == (MetricKind.SHARE, "source", "a_b")


@pytest.mark.parametrize("value", ["home decor", "a:b", "old (naive)"])
def test_a_value_is_read_as_it_stands_with_and_without_a_surface(value: str) -> None:
    share = Metric(MetricKind.SHARE, "category", value)
    assert parse_metric(share.name, tasks=[], columns=["category"]) == share
    assert read_metric(share.name) == share


def test_a_naive_metric_is_read_as_such() -> None:
    assert read_metric("ndcg_click (naive)") == Metric(MetricKind.NAIVE_NDCG, "click")
