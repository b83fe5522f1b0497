"""`make bench` starts every benchmark, with arguments that it takes."""

import argparse
import importlib
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import SMALL

LEFT_OUT = {"__main__", "same_bytes"}


class Parsed(Exception):
    """The arguments were taken; the benchmark itself is not run."""


def test_every_benchmark_is_started() -> None:
    files = Path("benchmarks").glob("*.py")
    startable = {file.stem for file in files if "\ndef main(" in file.read_text(encoding="utf-8")}
    assert startable - LEFT_OUT == SMALL.keys()


@pytest.mark.parametrize("name", [name for name, arguments in SMALL.items() if arguments])
def test_a_benchmark_takes_its_small_arguments(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(parser: argparse.ArgumentParser, *words: Any) -> None:
        parse(parser, *words)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
    monkeypatch.setattr(sys, "argv", [name, *shlex.split(SMALL[name])])
    with pytest.raises(Parsed):
        importlib.import_module(f"benchmarks.{name}").main()
