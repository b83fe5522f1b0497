"""The world of the ten failures, made once, and each failure shipped in it and judged."""

from collections.abc import Mapping

import pytest

from benchmarks.failures.failure import Demonstration, demonstrate
from benchmarks.failures.listed import FAILURES
from benchmarks.failures.world import FailureWorld


@pytest.fixture(scope="session")
def failure_world(tmp_path_factory: pytest.TempPathFactory) -> FailureWorld:
    return FailureWorld.make(tmp_path_factory.mktemp("failures") / "world")


@pytest.fixture(scope="session")
def shown(failure_world: FailureWorld) -> Mapping[str, Demonstration]:
    """Every failure by its number."""
    return {failure.number: demonstrate(failure, failure_world) for failure in FAILURES}
