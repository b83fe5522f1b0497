"""Whatever words and contracts hold, a command answers or refuses in one message of ours."""

import shlex
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.main import get_command

from tasks.cli import main
from tasks.cli.program import application
from tests.cli.test_failures import examples
from tests.contracts.files import VALID, Files, write_surface
from tests.stores.mlflow_home import new_home

ODD_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 10**30, 1e308, float("inf"), float("nan"), [], {}, [None], {"": None}, [[]]]),
    st.sampled_from(["", " ", "P7D", "P99999D", "PT0S", "click", "a.b", "../../etc", "0 4 * * 1", "*", "x" * 999]),
    st.sampled_from(["\x1b[2J", "a\nb", "naïve_→", "'; DROP TABLE x", "select", "{quantile: 0.2}", "__class__"]),
    st.text(max_size=8),
    st.dictionaries(st.sampled_from(["click", "event", "within", "weight", "column", "name"]), st.integers(), max_size=2),
)  # fmt: skip
ODD_WORDS = st.one_of(
    st.sampled_from(
        ["", " ", "-1", "0", "1e9", "99999999999999999999", "feed", "champion", "previous", "NaT", "2126-01-01",
         "2026-02-30T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00",
         "2026-01-01", ".", "..", "/", "/dev/null", "nowhere/at/all", "*", "[x]", "a,b,,c", "--", "x" * 999]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8),
)  # fmt: skip
TAKES_MINUTES = {"world generate"}
COMMANDS = {
    name: shlex.split(words)
    for name, words in examples(get_command(application()))
    if name and name not in TAKES_MINUTES
} | {
    "import": ["open-bandit", "--source", "nowhere", "--out", "logs"]
}  # the example imports a whole data set
UNFORESEEN = "Unexpected "
SHARED_FIXTURES = [HealthCheck.function_scoped_fixture]


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything in plain data, the whole left out."""
    steps = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    for step, below in steps:
        yield (*path, step)
        yield from places(below, (*path, step))


def put(content: Any, path: Sequence[Any], value: object, *, beside: str) -> None:
    """Set one place of plain data, or what stands beside it under another name."""
    *parents, last = path
    for step in parents:
        content = content[step]
    content[f"{last}{beside}" if isinstance(content, dict) and beside else last] = value


@st.composite
def odd_files(draw: st.DrawFn) -> Files:
    """Draw a surface with one or two odd values in the place of its own, or beside them."""
    files = deepcopy(VALID)
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from([path for path in places(files) if len(path) > 1]))
        put(files, path, draw(ODD_VALUES), beside=draw(st.sampled_from(["", "", "", "_", "\x07"])))
    return files


def refused_or_answered(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> int:
    """Run a command; return its exit code, which is one of a command that foresaw what it met."""
    try:
        code = main(words)
    except SystemExit as ended:  # help
        code = int(ended.code or 0)
    printed = capsys.readouterr()
    assert UNFORESEEN not in printed.err, printed.err
    assert code in {0, 1, 2, 3}
    assert code < 2 or printed.err.strip(), "what is refused is said"
    return code


@settings(max_examples=80, suppress_health_check=SHARED_FIXTURES)
@given(files=odd_files())
def test_a_contract_with_any_odd_value_is_checked_or_refused(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    with TemporaryDirectory() as root:
        folder = Path(root) / "feed"
        folder.mkdir()
        for name, content in files.items():
            text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
            (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        there = ["--surfaces", root, "--home", f"{root}/home"]
        valid = refused_or_answered(["check", "feed", *there], capsys)
        assert valid in {0, 1}, "every problem of a contract is a line of the check's own"
        for command in (["labels", "sql"], ["policy", "show"]):
            assert refused_or_answered([*command, "feed", *there], capsys) in ({0, 2} if valid == 0 else {2})


@settings(max_examples=100, suppress_health_check=SHARED_FIXTURES)
@given(name=st.sampled_from(sorted(COMMANDS)), data=st.data())
def test_any_words_are_understood_or_refused(
    name: str, data: st.DataObject, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = list(COMMANDS[name])
    for _ in range(data.draw(st.integers(0, 2))):
        place = data.draw(st.integers(0, len(words)))
        words[place : place + data.draw(st.integers(0, 1))] = [data.draw(ODD_WORDS)]
    with TemporaryDirectory() as root, monkeypatch.context() as here:
        here.chdir(root)
        write_surface(Path(root) / "surfaces")
        words = [
            "feed" if word in {"home_feed", "weekly_circular", "short_video"} else word for word in words
        ]
        home = new_home(Path(root) / "home")
        refused_or_answered([*name.split(), *words, "--home", str(home)], capsys)


def test_a_surface_with_a_name_too_long_for_a_file_is_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "surfaces").mkdir()
    there = ["--surfaces", str(tmp_path / "surfaces"), "--home", str(new_home(tmp_path / "home"))]
    words = ["approve", "x" * 300, "1", "--role", "safety", "--why", "hides are steady"]
    assert refused_or_answered([*words, *there], capsys) == 2
