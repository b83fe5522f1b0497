"""A page from top to bottom: its Python is run, its commands are typed, and what they print is compared."""

import doctest
from pathlib import Path

import pytest

from tasks.cli import main
from tests.docs.pages import blocks, examples


def walk(page: Path, capsys: pytest.CaptureFixture[str]) -> list[int]:
    """Run every example in the folder that is the current one; return the commands' exit codes."""
    compare, names, codes = doctest.OutputChecker(), dict[str, object](), list[int]()
    for block in blocks(page):
        if block.language == "python":
            test = doctest.DocTestParser().get_doctest(block.text, names, page.name, str(page), 0)
            assert doctest.DocTestRunner().run(test, clear_globs=False).failed == 0
            names.update(test.globs)
        for example in examples(block) if block.language == "console" else ():
            codes.append(main(example.words))
            printed = capsys.readouterr()
            assert compare.check_output(example.printed, printed.out, doctest.ELLIPSIS), printed
    return codes
