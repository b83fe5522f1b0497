"""The page on off-policy estimates is walked from top to bottom: its Python is run, its commands are typed."""

import doctest
from pathlib import Path

import pytest

from tasks.cli import main
from tasks.evaluation.off_policy.estimators import OF_SLATES, OF_SLOTS
from tasks.evaluation.off_policy.overlap import MOST_OF_ONE, MOST_UNSUPPORTED
from tasks.evaluation.resampling import LEAST_CLUSTERS, LEAST_POSITIVES
from tests.docs.pages import DOCS, blocks, examples

PAGE = DOCS / "off_policy.md"


def test_every_example_of_the_page_prints_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    compare, names, typed = doctest.OutputChecker(), dict[str, object](), 0
    for block in blocks(PAGE):
        if block.language == "python":
            test = doctest.DocTestParser().get_doctest(block.text, names, PAGE.name, str(PAGE), 0)
            assert doctest.DocTestRunner().run(test, clear_globs=False).failed == 0
            names.update(test.globs)
        for example in examples(block) if block.language == "console" else ():
            code = main(example.words)
            printed = capsys.readouterr()
            assert compare.check_output(example.printed, printed.out, doctest.ELLIPSIS), printed
            assert code == (0 if example.printed.startswith(("pass", "no_rule")) else 1)
            typed += 1
    assert typed == 5


def test_the_limits_that_the_page_names_are_those_of_the_code() -> None:
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert f"(at most {MOST_UNSUPPORTED:.0%})" in page
    assert f"fewer than {LEAST_CLUSTERS} equal users" in page
    assert f"fewer than {LEAST_POSITIVES} rows have a reward and a weight" in page
    assert f"(at most {MOST_OF_ONE:.0%})" in page


def test_every_estimator_is_named() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in (*OF_SLOTS, *OF_SLATES) if f"`{name}`" not in page] == []
