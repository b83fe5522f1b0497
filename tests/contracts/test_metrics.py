"""A metric's name says what it measures, of which task or column."""

from tasks.contracts.metrics import MetricKind, metric_names, parse_metric


def test_every_listed_metric_name_parses_back() -> None:
    names = metric_names(["hide_7d", "hide_7d_rate"], ["source"])
    parsed = [parse_metric(n, tasks=["hide_7d", "hide_7d_rate"], columns=["source"]) for n in names]
    assert all(parsed)


def test_the_share_of_a_columns_value_keeps_the_value() -> None:
    metric = parse_metric("source_share:a_b", tasks=[], columns=["source"])
    assert metric is not None
    assert (metric.kind, metric.subject, metric.value) == (MetricKind.SHARE, "source", "a_b")
