"""The worked examples of "Write a label contract": their YAML, run on their logs, gives their labels."""

import doctest
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pytest

from tasks.cli import main
from tasks.contracts import TasksSpec
from tasks.contracts.load import read_yaml
from tests.docs.pages import DOCS, blocks, examples
from tests.docs.test_examples import OWN_SURFACE, write
from tests.labels.engine import read_labels, rows
from tests.labels.reference import Reference, Row

PAGE = DOCS / "label_contract.md"
_LINE = re.compile(r"^\|(.+)\|$", re.MULTILINE)


@dataclass(frozen=True)
class Worked:
    """One example: its heading, its tasks, its log, and its labels as the page has them."""

    heading: str
    tasks: TasksSpec
    impressions: list[Row]
    events: list[Row]
    labels: list[dict[str, str]]


def worked() -> Iterator[Worked]:
    text = PAGE.read_text(encoding="utf-8")
    for section in re.findall(r"^## (\d.*?)(?=^## )", text, re.MULTILINE | re.DOTALL):
        heading, _, body = section.partition("\n")
        (block,) = re.findall(r"^```yml\n(.*?)^```$", body, re.MULTILINE | re.DOTALL)
        log, labels = (list(rows) for rows in tables(body))
        impressions = [impression(row) for row in log if row["what"] == "shown"]
        happened = [event(row) for row in log if row["what"] != "shown"]
        yield Worked(heading, contract_of(block), impressions, happened, labels)


def contract_of(tasks: str) -> TasksSpec:
    """Read tasks as a contract file is read."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "tasks.yaml"
        head = "contract: worked-example\nversion: 1\ntasks:\n"
        file.write_text(head + textwrap.indent(tasks, "  "), encoding="utf-8")
        return TasksSpec.model_validate(read_yaml(file))


def tables(body: str) -> Iterator[list[dict[str, str]]]:
    for table in re.findall(r"(?:^\|.+\|\n)+", body, re.MULTILINE):
        head, _, *rows = ([cell.strip() for cell in line.split("|")] for line in _LINE.findall(table))
        yield [dict(zip(head, row, strict=True)) for row in rows]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def ids(row: dict[str, str]) -> Row:
    """Return the ids of a row; a column that the page leaves out holds user ana or item 7."""
    item = row.get("item_id", "7")
    return {
        "request_id": row.get("request_id") or None, "user_id": row.get("user_id", "ana") or None,
        "item_id": int(item) if item else None,
    }  # fmt: skip


def request(row: dict[str, str]) -> str:
    return row.get("request_id", "r1")


def impression(row: dict[str, str]) -> Row:
    seen = row.get("visible", "true") == "true"
    due = at(row["due"]) if row.get("due") else None
    return {
        **ids(row), "request_id": request(row), "shown_at": at(row["at"]), "position": None, "visible": seen, "kind": None, "due": due,
    }  # fmt: skip


def event(row: dict[str, str]) -> Row:
    value, arrived = row.get("value"), row.get("ingested_at")
    return {
        "event": row["what"], "happened_at": at(row["at"]), **ids(row), "kind": None,
        "value": float(value) if value else None, "ingested_at": at(arrived) if arrived else None,
    }  # fmt: skip


EXAMPLES = list(worked())


def test_there_are_eight() -> None:
    assert [int(example.heading.split(".")[0]) for example in EXAMPLES] == list(range(1, 9))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.heading)
def test_an_example_gives_the_labels_of_the_page(example: Worked) -> None:
    """Every impression is in the table, every task is a column, and brute force says the same."""
    shown = {(row["request_id"], row["item_id"]) for row in example.impressions}
    assert {(request(row), ids(row)["item_id"]) for row in example.labels} == shown
    assert 3 <= len(example.impressions) + len(example.events) <= 6
    with duckdb.connect(config={"threads": "1"}) as engine:
        engine.execute("SET TimeZone = 'UTC'")
        for row in example.labels:
            log, as_of = (example.impressions, example.events), at(row["as of"])
            found = read_labels(example.tasks, rows(engine, example.tasks, log, as_of))
            assert found == Reference(example.tasks, *log, as_of).labels()
            of_row = found[request(row), ids(row)["item_id"]]
            for task in example.tasks.tasks:
                value, status, _ = of_row[task]
                assert row[task] == (status if value is None else f"{value:g}"), task


def test_the_commands_of_the_page_print_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The surface is that of the six steps."""
    (tmp_path / "surfaces").mkdir()
    monkeypatch.chdir(tmp_path)
    for variable in ("EQUIPOISE_SURFACES", "EQUIPOISE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    for block in blocks(OWN_SURFACE):
        if block.language == "yaml":
            write(block.text)
    (world,) = (e for b in blocks(OWN_SURFACE) for e in examples(b) if " world generate " in e.command)
    assert main(world.words) == 0
    compare = doctest.OutputChecker()
    for example in (e for b in blocks(PAGE) if b.language == "console" for e in examples(b)):
        capsys.readouterr()
        assert main(example.words) == 0
        printed = capsys.readouterr().out
        assert compare.check_output(example.printed or printed, printed, doctest.ELLIPSIS), printed
