"""The page on off-policy estimates is walked from top to bottom: its Python is run, its commands are typed."""

from pathlib import Path

import pytest

from tasks.evaluation.resampling import LEAST_CLUSTERS, LEAST_POSITIVES
from tasks.ope.estimators import OF_SLATES, OF_SLOTS
from tasks.ope.overlap import FALSE_ALARMS, LEAST_Z, MOST_ITEMS, MOST_OF_ONE, MOST_UNSUPPORTED
from tests.docs.pages import DOCS
from tests.docs.walking import walk

PAGE = DOCS / "off_policy.md"


def test_every_example_of_the_page_prints_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert walk(PAGE, capsys) == [0, 1, 1]


def test_the_limits_that_the_page_names_are_those_of_the_code() -> None:
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert f"(at most {MOST_UNSUPPORTED:.0%})" in page
    assert f"fewer than {LEAST_CLUSTERS} equal users" in page
    assert f"fewer than {LEAST_POSITIVES} rows have a reward and a weight" in page
    assert f"(at most {MOST_OF_ONE:.0%})" in page
    assert f"the {MOST_ITEMS} items that the target shows most" in page
    assert f"from z = {LEAST_Z} (more" in page
    assert f"so that {100 * FALSE_ALARMS:.0f} % of honest logs" in page


def test_every_estimator_is_named() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in (*OF_SLOTS, *OF_SLATES) if f"`{name}`" not in page] == []
