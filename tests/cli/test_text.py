"""Checks, verdicts, releases and settings as people read them."""

import json
import logging
import unicodedata
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Group
from rich.text import Text

from tasks.cli import text
from tasks.cli.text import WIDTH, PrintableFormatter, as_json, as_plain, as_printable, as_text, write_lines

FIGURES = {
    "auc": 0.71234,
    "auc_by_request": None,
    "normalized_entropy": 0.9,
    "calibration_ratio": 1.0,
    "rows": 12345,
    "positives": 67,
}
RELEASE: dict[str, Any] = {
    "version": 3,
    "aliases": ["challenger"],
    "as_of": "2026-05-13T00:00:00Z",
    "snapshot": "12c7569d19267e6b",
    "verdict": "hold",
    "backfilled": False,
    "run_id": "0123",
    "reasons": ["too few hides"],
    "dossier": "/home/reports/dossier-release-3.html",
    "metrics": {"click_30m": {"test": FIGURES}},
    "pins": {"feed.click_30m.model": 7, "feed.utility": 1},
}
MOVE = dict.fromkeys(("role", "experiment", "waiver", "evidence", "run")) | {
    "moved": True,
    "ended": [],
    "number": 2,
    "at": "2026-07-06T09:40:58.123Z",
    "kind": "promote",
    "from": None,
    "to": 3,
    "by": "ana",
    "why": "carts rose",
}


def test_plain_data_is_written_as_indented_lines() -> None:
    plain = {"rows": 3, "days": {"2026-03-01": "new"}, "problems": [], "parts": [{"a": 1, "b": 2}, "c"]}
    assert text.write_lines(plain).splitlines() == [
        "rows: 3",
        "days:",
        "  2026-03-01: new",
        "problems: none",
        "parts:",
        "  - a: 1",
        "    b: 2",
        "  - c",
    ]


def test_an_empty_list_is_none() -> None:
    assert text.write_lines([]) == "none"
    assert text.write_releases([]) == "none"
    assert as_text(text.write_history([])) == "no alias update was recorded"


CHECKED: dict[str, Any] = {"valid": True, "problems": [], "warnings": [], "power": [], "digests": {}}


def test_each_problem_has_its_way_out_below_it() -> None:
    problem = {
        "surface": "feed",
        "file": "utility.yaml",
        "field": "weights.x",
        "found": "-1",
        "hint": "Raise it.",
    }
    warning = problem | {"field": "", "found": ""}
    plain = CHECKED | {"valid": False, "problems": [problem], "warnings": [warning]}
    assert as_text(text.write_check(plain)).splitlines() == [
        "problem feed/utility.yaml: weights.x = -1",
        "    Raise it.",
        "warning feed/utility.yaml: file",
        "    Raise it.",
        "1 problem(s)",
    ]


def test_valid_surfaces_are_named() -> None:
    assert as_text(text.write_check(CHECKED | {"digests": {"a": {}, "b": {}}})) == "valid: a, b"


def test_a_variable_has_its_value_its_meaning_and_what_is_wrong_with_it() -> None:
    setting = {
        "name": "THREADS",
        "value": "a",
        "meaning": "threads",
        "default": "2",
        "problem": "Not a number.",
    }
    unset = {"name": "LOGS", "value": "", "meaning": "logs", "default": "none", "problem": ""}
    plain = {"settings": [setting, unset], "warnings": ["THREDS is not known."]}
    assert as_text(text.write_settings(plain)).splitlines() == [
        "THREDS is not known.",
        "THREADS = a",
        "    threads (default: 2)",
        "    Not a number.",
        "LOGS is not set",
        "    logs (default: none)",
    ]


def test_a_verdict_has_its_reasons_and_a_path_that_can_be_copied_whole() -> None:
    path = "/a folder/" * 20 + "dossier.html"
    gates = [{"outcome": "pass"}, {"outcome": "inconclusive"}, {"outcome": "pass"}]
    plain = {"release": 1, "verdict": "hold", "reasons": ["word " * 30], "gates": gates, "dossier": path}
    plain["next_step"] = "Retrain: it is old."
    plain["timings"] = [{"outcome": "pass"}]
    lines = as_text(text.write_verdict(plain)).splitlines()
    assert lines[0] == "release 1: hold"
    assert lines[1].startswith("  - word word")
    assert lines[2].startswith("    word")
    assert lines[-3:] == [
        "verdicts: 3 pass, 1 inconclusive",
        "next: Retrain: it is old.",
        f"dossier: {path}",
    ]
    assert max(map(len, lines[:-1])) <= WIDTH


def test_figures_of_plain_data_have_three_digits() -> None:
    assert text.write_lines({"share": 0.9125000000000006, "rows": 12345.6, "n": 123456}) == (
        "share: 0.913\nrows: 12,346\nn: 123456"
    )


def test_without_a_reason_there_is_no_empty_line() -> None:
    assert "" not in as_text(text.write_release(RELEASE | {"reasons": []})).splitlines()[:8]


def test_releases_are_a_table() -> None:
    head, row = as_text(text.write_releases([RELEASE | {"aliases": [], "verdict": None}])).splitlines()
    assert head.split() == ["release", "aliases", "as", "of", "snapshot", "verdict", "backfilled"]
    assert row.split() == ["3", "-", "2026-05-13T00:00:00Z", "12c7569d19267e6b", "-", "no"]


def test_a_release_has_its_figures_and_pins() -> None:
    lines = as_text(text.write_release(RELEASE)).splitlines()
    assert lines[0] == "version: 3"
    (row,) = [line for line in lines if line.startswith("click_30m")]
    assert row.split() == ["click_30m", "0.712", "-", "0.9", "1", "12,345", "67"]
    assert lines[-2].split() == ["feed.click_30m.model", "7"]
    assert max(map(len, lines)) <= WIDTH


def test_a_move_says_from_where_to_where_by_whom_and_why() -> None:
    assert text.write_move(MOVE) == "champion: none -> 3 (promote by ana: carts rose)"
    assert text.write_move({"moved": False, "to": 3}) == "nothing to do: release 3 is the champion"


def test_a_row_of_the_audit_has_what_supports_it_below() -> None:
    approval = MOVE | {"kind": "approve", "role": "product", "why": None, "evidence": "5d6a0c1f22abcd"}
    assert as_text(text.write_history([MOVE, approval])).splitlines() == [
        "   2  2026-07-06 09:40:58  promote   none -> 3  by ana",
        "    why: carts rose",
        "   2  2026-07-06 09:40:58  approve   product, release 3  by ana",
        "    evidence: 5d6a0c1f22ab",
    ]


def test_sql_stands_alone() -> None:
    assert text.write_sql({"sql": "SELECT 1"}) == "SELECT 1"


def test_what_failed_in_validation_is_written_first_and_the_worst_of_it_before_all() -> None:
    row = {"suite": "labels", "subject": "click", "observed": "0.3", "why": "it was declared"}
    expectations = [
        {**row, "expectation": "holds", "severity": "critical", "success": True},
        {**row, "expectation": "is near", "severity": "warning", "success": False},
        {**row, "expectation": "is known", "severity": "critical", "success": False},
    ]
    plain = {"success": False, "severity": "critical", "expectations": expectations, "report": "/r.html"}
    lines = as_text(text.write_validation(plain)).splitlines()
    assert lines[0] == "critical labels: is known (click)"
    assert lines[2] == "warning labels: is near (click)"
    assert lines[4:] == [
        "the labels may not be trained on",
        "expectations: 1 passed, 2 failed",
        "report: /r.html",
    ]


def test_why_a_release_is_held_and_where_its_dossier_lies_is_written() -> None:
    lines = as_text(text.write_release(RELEASE)).splitlines()
    assert "  - too few hides" in lines
    assert "dossier: /home/reports/dossier-release-3.html" in lines
    assert "    normalized entropy: log loss relative to the base rate's; 1 = a constant" in lines


def test_readiness_is_a_list_of_states_with_what_they_rest_on() -> None:
    line = {"name": "masks", "state": "met", "why": "0 of 90 rows", "sources": ["run-1"]}
    missing = {**line, "state": "not met", "why": "no labels\x1b[2J " + "were validated " * 12, "sources": []}
    plain = {"surface": "feed", "release": 3, "champion": True, "ready": False, "lines": [line, missing]}
    written = as_text(text.write_readiness(plain))
    assert written.splitlines()[:3] == [
        "readiness of feed: release 3, the champion",
        "met            masks",
        "               0 of 90 rows (run-1)",
    ]
    assert written.splitlines()[-1] == "1 met, 1 not met, 0 not applicable"
    assert max(map(len, written.splitlines())) <= WIDTH
    assert "\x1b" not in written
    unmade = {**plain, "release": None, "champion": False}
    assert as_text(text.write_readiness(unmade)).startswith("readiness of feed: no release yet")


@dataclass(frozen=True)
class Inner:
    rows: int


@dataclass(frozen=True)
class Result:
    day: date
    inner: list[Inner]


class WithDocument:
    def to_json(self) -> dict[str, int]:
        return {"rows": 3}


def test_a_result_becomes_plain_data_all_the_way_down() -> None:
    assert as_plain(Result(date(2026, 3, 1), [Inner(2)])) == {"day": date(2026, 3, 1), "inner": [{"rows": 2}]}


def test_a_result_with_a_document_of_its_own_is_that_document() -> None:
    assert as_plain(WithDocument()) == {"rows": 3}


def test_plain_data_stays_as_it_is() -> None:
    assert as_plain([{"a": 1}]) == [{"a": 1}]


def test_json_writes_days_as_text_and_letters_as_they_are() -> None:
    assert json.loads(as_json({"day": date(2026, 3, 1)})) == {"day": "2026-03-01"}
    assert "é" in as_json({"who": "é"})


@given(
    st.recursive(
        st.floats(), lambda each: st.lists(each) | st.dictionaries(st.text(), each) | st.tuples(each)
    )
)
def test_a_document_is_json_whatever_numbers_it_holds(plain: object) -> None:
    no_json = list[str]()
    json.loads(as_json(plain), parse_constant=no_json.append)
    assert no_json == []


STEERING = st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"], exclude_characters="\n\t")


@given(st.lists(st.one_of(STEERING, st.characters(max_codepoint=0x2FFF))).map("".join))
def test_nothing_that_steers_a_terminal_is_printed(text: str) -> None:
    plain = {"name": text, "in": [(text,), {text: 1}]}
    shown = as_text(write_lines(as_printable(plain)))
    document = as_json(plain)
    for sign in (*shown, *document):
        assert sign.isprintable() or sign in "\n\t" or unicodedata.category(sign) == "Zs", repr(sign)
    assert json.loads(document)["name"] == text


def test_letters_of_every_script_and_the_spaces_between_them_stay() -> None:
    assert as_printable("naïve 日本語\u00a0\u202f€ \n\t") == "naïve 日本語\u00a0\u202f€ \n\t"


def test_messages_of_the_log_steer_no_terminal() -> None:
    record = logging.LogRecord("equipoise", logging.INFO, "", 0, "from %s", ("\x1b[2J\u202e",), None)
    assert PrintableFormatter("%(message)s").format(record) == "from \\x1b[2J\\u202e"


def test_a_string_is_never_wrapped() -> None:
    assert as_text("x " * WIDTH) == "x " * WIDTH


def test_laid_out_text_has_no_colours_and_fits_where_no_terminal_is() -> None:
    lines = as_text(Group(Text("red", style="red"), "word " * WIDTH)).splitlines()
    assert lines[0] == "red"
    assert max(map(len, lines)) <= WIDTH


def test_brackets_and_colons_are_not_taken_for_markup() -> None:
    assert as_text(Group("[bold]x[/bold] :smile:")) == "[bold]x[/bold] :smile:"


def test_a_terminal_gets_colours_and_its_own_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[31mred" in as_text(Group(Text("red", style="red")))
    assert max(map(len, as_text(Group("word " * 40)).splitlines())) <= 40


def test_a_name_that_is_read_from_right_to_left_keeps_its_isolates() -> None:
    assert as_printable("at \u2068\u05e7\u2069 +5%") == "at \u2068\u05e7\u2069 +5%"
    assert as_printable("\u2067\u2066") == "\\u2067\\u2066", "which say themselves how they are read"
