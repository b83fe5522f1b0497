"""The evidence of a simulation and of a shadow."""

from tasks.contracts.metrics import MetricKind
from tests.evaluation import written


def test_every_metric_says_its_kind_and_its_task() -> None:
    measured = written.document("simulation").measured
    kinds = {(one.metric, one.kind, one.subject) for one in measured}
    assert ("click_30m_calibration", MetricKind.CALIBRATION, "click_30m") in kinds
    assert ("hide_2d_predicted", MetricKind.PREDICTED, "hide_2d") in kinds
    assert ("component_share:hide_2d", MetricKind.COMPONENT_SHARE, "hide_2d") in kinds
    assert ("ndcg_click_30m (naive)", MetricKind.NAIVE_NDCG, "click_30m") in kinds
    assert ("expected_utility", MetricKind.EXPECTED_UTILITY, None) in kinds


def test_a_first_release_is_compared_with_nothing() -> None:
    assert written.document("shadow_of_a_first_release").comparison is None
    assert written.document("shadow").comparison.overlap_at_k.known
