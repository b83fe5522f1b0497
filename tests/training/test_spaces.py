"""A return learned given its purchase, and as the joint event on all impressions: both are right on average."""

import pytest

from benchmarks.learning.feed import feed
from benchmarks.learning.spaces import Space, spaces

pytestmark = pytest.mark.xdist_group("learning_truth")


@pytest.fixture(scope="module")
def told() -> dict[str, Space]:
    return spaces(feed(requests=1200, train=5))


@pytest.mark.parametrize("space", ["conditional", "entire"])
def test_the_joint_probability_adds_up_to_the_truth_in_either_space(
    told: dict[str, Space], space: str
) -> None:
    assert told[space].distance.ratio == pytest.approx(1, abs=0.2)
    assert told[space].normalized_entropy < 1


def test_where_returns_are_few_the_product_of_two_easier_tasks_is_closer_to_the_truth(
    told: dict[str, Space],
) -> None:
    assert told["conditional"].distance.error < told["entire"].distance.error
