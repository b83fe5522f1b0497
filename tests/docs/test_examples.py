"""What the pages tell people to write and to type: it is written and typed here."""

import doctest
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.cli import main
from tasks.cli.program import parse
from tasks.contracts import check_surface, load_surface
from tasks.contracts.experiment import experiment_names, load_experiment
from tests.docs.pages import DOCS, PAGES, REPOSITORY, blocks, examples, mentioned, name

OWN_SURFACE = DOCS / "own_surface.md"
_FILE = re.compile(
    r"# (?P<add>add to )?(?P<path>(surfaces/\w+/(surface|tasks|utility|slate)|experiments/[\w-]+)\.yaml)\n"
)

Run = Callable[[list[str]], str]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with the repository's surfaces."""
    shutil.copytree(REPOSITORY / "surfaces", tmp_path / "surfaces")
    monkeypatch.chdir(tmp_path)
    for variable in ("EQUIPOISE_SURFACES", "EQUIPOISE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


@pytest.fixture
def run(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; return what it printed."""

    def typed(words: list[str]) -> str:
        try:
            code = main(words)
        except SystemExit as ended:
            code = int(str(ended.code or 0))
        printed = capsys.readouterr()
        assert code in {0, 1}, printed.err
        return printed.out

    return typed


def needs_no_state(words: list[str]) -> bool:
    stateless = words[:1] == ["check"] or words[:2] in (["labels", "sql"], ["policy", "show"])
    return stateless or "--help" in words


def write(block: str) -> None:
    """Write a YAML block to the file that its first line names."""
    found = _FILE.match(block)
    assert found, f"the first line of a yaml block names its file: {block[:60]!r}"
    file = Path(found["path"])
    file.parent.mkdir(exist_ok=True)
    before = file.read_text(encoding="utf-8") if found["add"] else ""
    file.write_text(before + block, encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_can_be_typed(page: Path) -> None:
    console = [e for block in blocks(page) if block.language == "console" for e in examples(block)]
    assert all(example.command.startswith("equipoise ") for example in console)
    typed = [*(example.command for example in console), *mentioned(page)]
    for command in typed:
        words = shlex.split(command)[1:]
        if "--help" not in words:
            parse(words)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_that_need_no_state_print_what_the_page_says(page: Path, run: Run) -> None:
    compare = doctest.OutputChecker()
    for block in blocks(page):
        if block.language == "yaml":
            write(block.text)
        for example in examples(block) if block.language == "console" else ():
            if needs_no_state(example.words):
                printed = run(example.words)
                assert printed
                if example.printed:
                    assert compare.check_output(example.printed, printed, doctest.ELLIPSIS), printed


def test_the_surface_of_the_six_steps_is_accepted(elsewhere: Path) -> None:
    written = [block.text for block in blocks(OWN_SURFACE) if block.language == "yaml"]
    for text in written:
        write(text)
    assert len(written) == 6
    checked = check_surface(elsewhere / "surfaces", "my_feed")
    assert not checked.problems
    assert not checked.warnings


def test_the_experiments_of_the_page_are_accepted(elsewhere: Path) -> None:
    for block in blocks(DOCS / "experiments.md"):
        if block.language == "yaml":
            write(block.text)
    surfaces = elsewhere / "surfaces"
    declared, contracts = experiment_names(surfaces), load_surface(surfaces, "home_feed")
    specs = [load_experiment(surfaces, name, contracts) for name in declared]
    assert [spec.arms[spec.treatment].follows for spec in specs] == [True, False]


@pytest.mark.e2e
def test_the_six_steps_are_walked_to_the_end(run: Run) -> None:
    """Every command is run, and what the page says that it prints is what it prints."""
    compare, printed, shown = doctest.OutputChecker(), list[str](), 0
    for block in blocks(OWN_SURFACE):
        if block.language == "yaml":
            write(block.text)
        if block.language == "text":
            shown += 1
            assert any(compare.check_output(block.text, out, doctest.ELLIPSIS) for out in printed), printed[
                -1
            ]
        for example in examples(block) if block.language == "console" else ():
            printed.append(run(example.words))
            said = example.printed or printed[-1]
            assert compare.check_output(said, printed[-1], doctest.ELLIPSIS), printed[-1]
    assert shown == 2


def test_the_six_steps_are_six() -> None:
    headings = re.findall(r"^## (\d)\. ", OWN_SURFACE.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == ["1", "2", "3", "4", "5", "6"]
