"""Each disaster of docs/disaster.md happens in a small home and ends as the page says; seconds aside."""

import pytest

from benchmarks.drills.listed import DRILLS
from benchmarks.drills.page import PAGE, page, section
from benchmarks.drills.run import drill_all
from benchmarks.killed.homes import Homes
from tests.logs.postgres_server import installed

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("drills")]


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Homes:
    return Homes(tmp_path_factory.mktemp("drills"))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=installed if name == "postgresql" else ()) for name in DRILLS]
)
def test_a_disaster_ends_as_the_page_says(homes: Homes, name: str) -> None:
    (drilled,) = drill_all(homes, [name])
    written = PAGE.read_text(encoding="utf-8")
    assert "\n".join(section(drilled)) in written
    assert page(written, [drilled]).startswith(written.partition("<!--")[0])
