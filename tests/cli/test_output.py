"""Results as documents and as text: plain where no terminal is, whole where something is copied."""

import json
import logging
import unicodedata
from dataclasses import dataclass
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Group
from rich.text import Text

from tasks.cli.output import WIDTH, PrintableFormatter, as_json, as_plain, as_printable, as_text
from tasks.cli.text import write_lines


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
    def refuse(word: str) -> None:
        pytest.fail(f"{word} is no JSON")

    json.loads(as_json(plain), parse_constant=refuse)


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
