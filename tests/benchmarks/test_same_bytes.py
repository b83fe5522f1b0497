"""What the comparison with an earlier commit says of figures that are equal, differ, or are expected to."""

import pytest

from benchmarks.same_bytes import compare, main, summary

BEFORE = {"labels": "3 rows ab", "verdict": "hold", "release/code": "c0"}
CODE = {"*/release/code": "the modules have moved"}


def counted(after: dict[str, str], *, expected: dict[str, str] | None = None) -> list[str]:
    return list(summary(compare("feed", BEFORE, after, expected=expected or {})))


def test_equal_figures_are_counted_and_not_named() -> None:
    assert counted(dict(BEFORE)) == ["3 figures equal, 0 differ"]


def test_a_figure_that_differs_is_named_with_both_values_in_full() -> None:
    assert counted({**BEFORE, "verdict": "promote"}) == [
        "feed/verdict: not expected to differ",
        "    before  hold",
        "    after   promote",
        "2 figures equal, 1 differ",
    ]


@pytest.mark.parametrize("lost", BEFORE)
def test_a_figure_that_only_one_side_has_differs(lost: str) -> None:
    after = {name: value for name, value in BEFORE.items() if name != lost}
    assert counted(after)[-1] == "2 figures equal, 1 differ"
    assert counted({**BEFORE, "gate/new": "pass"})[-1] == "3 figures equal, 1 differ"


def test_an_expected_difference_carries_its_reason() -> None:
    named, *_, count = counted({**BEFORE, "release/code": "c1"}, expected=CODE)
    assert named == "feed/release/code: the modules have moved"
    assert count == "2 figures equal, 1 differ (1 of them as expected)"


def test_both_values_stand_side_by_side() -> None:
    lines = [one.line for one in compare("feed", {"auc": "0.71"}, {"auc": "0.72"})]
    assert [line.split() for line in lines] == [["!", "feed/auc", "0.71", "0.72"]]


def test_without_a_commit_nothing_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "--before REV" in capsys.readouterr().err
