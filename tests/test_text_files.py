"""Text files: read whole in UTF-8, or refused in one error that names the file."""

import ast
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.datasets.publishing import find_finished
from tasks.errors import ContractError, DataError, StoreError
from tasks.stores.backup import restore
from tasks.stores.store import Store, format_file
from tasks.text_files import read_json, read_text
from tasks.validation.step import load_suite

TASKS = Path(__file__).resolve().parents[1] / "tasks"
ELSEWHERE = {
    "text_files.py": "the reader",
    "stores/files.py": "/proc, the lock file of scratch, and those that a process holds",
    "cli/program.py": "standard streams",
    "release/model.py": "ships with a release and imports nothing of tasks when it is loaded",
    "datasets/publishing.py": "the first line of a CSV file, also a packed one",
}


def write_much(file: Path) -> None:
    with file.open("wb") as opened:
        opened.truncate(1 << 31)


SPOILED: dict[str, Callable[[Path], object]] = {
    "latin-1": lambda file: file.write_bytes(b'{"a": "caf\xe9"}'),
    "two gigabytes": write_much,
    "nested too deeply": lambda file: file.write_text("[" * 100_000),
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a dangling link": lambda file: file.symlink_to("/nowhere/at/all"),
    "a link to a device": lambda file: file.symlink_to("/dev/zero"),
    "empty": Path.touch,
}


@pytest.fixture(params=SPOILED)
def spoiled(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    file = tmp_path / "text.json"
    SPOILED[request.param](file)
    return file


def test_text_is_read_without_the_mark_of_its_encoding(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": "caf\xc3\xa9"}')
    assert read_text(tmp_path / "a.json") == '{"a": "café"}'
    assert read_json(tmp_path / "a.json") == {"a": "café"}


def test_what_is_no_json_ends_in_one_error_that_names_it(spoiled: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_json(spoiled, error=DataError)
    assert str(caught.value).startswith("text.json: ")


def test_a_suite_that_cannot_be_read_is_named(spoiled: Path) -> None:
    with pytest.raises(ContractError, match=r"text\.json"):
        load_suite(spoiled)


def test_a_backup_whose_list_cannot_be_read_is_named(spoiled: Path, tmp_path: Path) -> None:
    spoiled.rename(tmp_path / "backup.json")
    with pytest.raises(StoreError, match=r"is not a whole backup"):
        restore(tmp_path, tmp_path / "home")


def test_a_home_whose_format_cannot_be_read_is_refused(spoiled: Path, tmp_path: Path) -> None:
    file = format_file(tmp_path / "home")
    file.parent.mkdir(parents=True)
    spoiled.rename(file)
    with pytest.raises(StoreError, match="format"):
        Store.open(tmp_path / "home")


def test_an_import_whose_list_cannot_be_read_is_made_again(spoiled: Path, tmp_path: Path) -> None:
    spoiled.rename(tmp_path / "import.json")
    assert find_finished(tmp_path, "recipe") is None


def reads_text(call: ast.Call) -> bool:
    """Whether a call opens a file as text, or reads one."""
    name = ast.unparse(call.func)
    mode = next(
        (ast.unparse(a) for a in [*call.args, *(k.value for k in call.keywords if k.arg == "mode")]), ""
    )
    opens = name.endswith(".open") and "encoding" in {keyword.arg for keyword in call.keywords}
    return (name.endswith(".read_text") and "encoding" in {k.arg for k in call.keywords}) or (
        opens and "b" not in mode
    )


def test_no_other_module_reads_text() -> None:
    found = {
        file.relative_to(TASKS).as_posix()
        for file in TASKS.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and reads_text(node)
    }
    assert found <= ELSEWHERE.keys()
