import ast
import os
import socket
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.contracts import check_surface, load_surface
from tasks.contracts.load import (
    GOVERNING,
    UNDECISIVE,
    describe_strange_events,
    events_elsewhere,
    read_yaml,
)
from tasks.errors import ContractError
from tests.contracts.files import Files, check_files, load_files, setting, write_surface

TASKS = Path(__file__).parents[2] / "tasks"
SURFACES = TASKS.parent / "surfaces"


def test_a_valid_surface_has_no_problem_and_four_digests(tmp_path: Path) -> None:
    contracts = load_files(tmp_path)
    assert sorted(contracts.digests) == ["slate", "surface", "tasks", "utility"]


def test_comments_and_order_do_not_change_a_digest_and_a_weight_does(tmp_path: Path) -> None:
    before = load_files(tmp_path / "a").digests
    root = write_surface(
        tmp_path / "b",
        lambda files: files["utility"].update(
            files["utility"].pop("weights")
            and {"weights": {"return": -5.0, "buy": {"times": "margin", "weight": 20}, "click": 0.4}}
        ),
    )
    file = root / "feed" / "utility.yaml"
    file.write_text("# reviewed\n" + file.read_text())
    assert load_surface(root, "feed").digests == before
    changed = load_files(tmp_path / "c", setting("utility.weights.click", 0.5)).digests
    assert changed["utility"] != before["utility"]
    assert changed["tasks"] == before["tasks"]


def test_all_problems_of_all_files_are_shown_at_once(tmp_path: Path) -> None:
    def change(files: Files) -> None:
        files["tasks"]["tasks"]["click"]["colour"] = "red"
        files["surface"]["sources"]["events"] = "../x"
        files["utility"]["weights"]["click"] = float("nan")
        files["slate"]["length"] = -1

    problems = check_files(tmp_path, change).problems
    assert {p.file for p in problems} == {"tasks.yaml", "surface.yaml", "utility.yaml", "slate.yaml"}


FIVE_MISTAKES: list[tuple[str, Any, str]] = [
    ("tasks.tasks.buy.positive.within", "seven days", "tasks.buy.positive.within"),
    ("tasks.tasks.happy.compose", {"all_of": ["clik"]}, "tasks.happy.compose"),
    ("tasks.tasks.buy.level", "requests", "tasks.buy.level"),
    ("surface.split.train", 28, "split.train"),
    ("surface.segments.1.bins", [7, 1], "segments.1"),
    ("surface.gates", {"calibration": {"by": ["categori"]}}, "gates.calibration.by"),
    ("surface.features.numeric", ["price", "2nd price"], "features.numeric.1"),
    ("surface.training", {"bu": {}}, "training.bu"),
    ("surface.examination", "estimate", "examination"),
    ("utility.approvals", ["prodcut"], "approvals"),
    ("utility.weights.click", "much", "weights.click.weight"),
    ("utility.weights.buy.times", "marginn", "weights.buy.times"),
    ("utility.guardrails.0.action", "blok", "guardrails.0.action"),
    ("utility.relevance_floor", {"buyy": 0.1}, "relevance_floor"),
    ("utility.contexts.0.weights", {"retrun": -9.0}, "contexts.0.weights.retrun"),
    ("utility.lexicographic", [{"task": "returns", "cuts": [0.1], "prefer": "low"}], "lexicographic"),
    ("slate.length", 0, "length"),
    ("slate.min_where_if_available", {"fresh": 2000}, "min_where_if_available.fresh"),
]
"""A mistake in a place of its own, and the field of its one problem."""


@given(st.sets(st.sampled_from(range(len(FIVE_MISTAKES))), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_no_mistake_hides_another_or_makes_one_up(chosen: set[int]) -> None:
    def change(files: Files) -> None:
        for number in chosen:
            path, value, _ = FIVE_MISTAKES[number]
            setting(path, value)(files)

    with TemporaryDirectory() as folder:
        problems = check_files(Path(folder), change).problems
    shown = sorted({problem.field.removesuffix(".float") for problem in problems})
    assert shown == sorted({FIVE_MISTAKES[number][2] for number in chosen})


def test_loading_raises_one_error_with_every_problem(tmp_path: Path) -> None:
    changes = setting("utility.weights.click", -1), setting("utility.approvals", ["safety"])
    with pytest.raises(ContractError) as caught:
        load_files(tmp_path, *changes)
    assert "2 problem(s)" in str(caught.value)


def test_an_unknown_surface_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="Did you mean 'feed'"):
        load_surface(write_surface(tmp_path), "fed")


@pytest.mark.parametrize("name", ["tasks", "surface", "utility", "slate"])
def test_a_missing_file_is_one_problem_of_that_file(tmp_path: Path, name: str) -> None:
    (write_surface(tmp_path) / "feed" / f"{name}.yaml").unlink()
    problems = check_surface(tmp_path, "feed").problems
    assert [(p.file, "cannot be read" in p.hint) for p in problems] == [(f"{name}.yaml", True)]


def test_a_replay_is_found_again_after_an_edit_of_a_gate_and_not_after_one_of_a_segment(
    tmp_path: Path,
) -> None:
    before = load_files(tmp_path / "a")
    governed = load_files(tmp_path / "b", setting("surface.gates", {"data": {"rows": 7}}))
    assert governed.digests["surface"] != before.digests["surface"]
    assert governed.measured_digests == before.measured_digests
    segmented = load_files(tmp_path / "c", setting("surface.values", ["margin", "size"]))
    assert segmented.measured_digests["surface"] != before.measured_digests["surface"]


def test_measurements_read_governing_fields_only_where_a_step_has_them_among_its_inputs() -> None:
    rooms = ("logs", "labels", "evaluation", "reports", "validation", "replay")
    files = [file for room in rooms for file in (TASKS / room).rglob("*.py")]
    found = {
        (file.relative_to(TASKS).as_posix(), node.attr)
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in GOVERNING - UNDECISIVE
        and ast.unparse(node.value).split(".")[-1] == "surface"
    }
    assert found == {
        ("logs/schema_fit.py", "gates"),  # draws no figure: gates.decision.first names a column
        ("validation/step.py", "base_rates"),  # the bounds are among the facts
        ("replay/entrants.py", "gates"),  # gates.decision
        ("replay/evaluate.py", "gates"),  # gates.decision, inconclusive and shadow.error_rate_max
        ("replay/shadow.py", "gates"),  # judged after the step
        ("replay/simulate.py", "gates"),  # its inputs
        ("reports/phrases.py", "gates"),  # gates.inconclusive and gates.decision
    }


BOMB = "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\na: 2\n", "line 2: the key 'a' appears twice"),
        ("x: {b: 1, b: 2}\n", "the key 'b' appears twice"),
        (BOMB, "anchors and aliases"),
        ("a: !!python/object/apply:os.system [ls]\n", "tag"),
        ("a: !thing 1\n", "tag"),
        ("- 1\n", "expected a mapping"),
        ("", "expected a mapping"),
        ("a: 1\n---\nb: 2\n", "another document"),
        ("1: x\n", "is not text"),
        ("a: [1\n", "t.yaml line"),
        ("a: \x07\n", "not readable YAML"),
    ],
)
def test_what_is_no_plain_mapping_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "t.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ContractError, match=r"t\.yaml") as caught:
        read_yaml(tmp_path / "t.yaml")
    assert words in str(caught.value)


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_bytes("owner: Zoë\n".encode("latin-1"))
    with pytest.raises(ContractError, match=r"t\.yaml: is not text in UTF-8, see byte 9"):
        read_yaml(tmp_path / "t.yaml")


def test_a_huge_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("a: " + "x" * (1 << 20))
    with pytest.raises(ContractError, match="is larger than"):
        read_yaml(tmp_path / "t.yaml")


def test_deep_nesting_is_refused_and_does_not_crash(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("a: " + "[" * 20_000 + "]" * 20_000)
    with pytest.raises(ContractError, match="not readable YAML"):
        read_yaml(tmp_path / "t.yaml")


def test_what_is_no_regular_file_is_refused_without_waiting_or_reading_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "device.yaml").symlink_to("/dev/zero")
    (tmp_path / "folder.yaml").mkdir()
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket.yaml"))
    for name in ("pipe", "device", "folder", "socket"):
        with pytest.raises(ContractError, match=rf"{name}\.yaml: (is not a regular file|cannot be read)"):
            read_yaml(tmp_path / f"{name}.yaml")
    server.close()


def test_a_link_to_a_contract_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("a: 1\n")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "t.yaml")
    assert read_yaml(tmp_path / "link.yaml") == {"a": 1}


def test_words_stay_words(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(
        "on: item\nno: yes\nday: 2026-01-01\nzip: 010\ntime: 12:30:00\nt: true\nf: 1e-4\nn: 3\n"
    )
    assert read_yaml(tmp_path / "t.yaml") == {
        "on": "item", "no": "yes", "day": "2026-01-01", "zip": "010", "time": "12:30:00", "t": True, "f": 1e-4, "n": 3,
    }  # fmt: skip


def test_the_events_of_other_surfaces_are_those_that_they_declare() -> None:
    found = events_elsewhere(SURFACES, "home_feed")
    assert found["long_view"] == "short_video"
    assert "home_feed" not in found.values()


@pytest.mark.parametrize("content", [b"tasks: [", b"\xff", b"{}", b""])
def test_a_surface_whose_tasks_cannot_be_read_declares_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "tasks.yaml").write_bytes(content)
    assert events_elsewhere(tmp_path, "home_feed") == {}
    assert events_elsewhere(tmp_path / "nowhere", "home_feed") == {}


def test_a_name_that_no_surface_knows_is_told_with_the_nearest_of_all() -> None:
    counts = {"wtach": 3, "zzz": 1, "x" * 100_000: 1}
    (sentence,) = describe_strange_events(counts, ["click"], {"watch": "short_video"})
    assert sentence.startswith(
        "events that no task of any surface reads: wtach (3, is it 'watch'?), zzz (1), xxx"
    )
    assert len(sentence) < 200
