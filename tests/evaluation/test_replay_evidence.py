"""The evidence of a simulation and of a shadow."""

from tasks.contracts.metrics import MetricKind
from tasks.evaluation.subjects import Subject
from tests.evaluation import written


def test_every_metric_says_its_kind_and_its_task() -> None:
    measured = written.document("simulation").measured
    subjects = {one.subject for one in measured}
    assert subjects >= {
        Subject(MetricKind.CALIBRATION, task="click_30m"),
        Subject(MetricKind.PREDICTED, task="hide_2d"),
        Subject(MetricKind.COMPONENT_SHARE, task="hide_2d"),
        Subject(MetricKind.NAIVE_NDCG, task="click_30m"),
        Subject(MetricKind.EXPECTED_UTILITY),
    }


def test_a_first_release_is_compared_with_nothing() -> None:
    assert written.document("shadow_of_a_first_release").comparison is None
    assert written.document("shadow").comparison.overlap_at_k.known
