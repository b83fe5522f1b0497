"""``equipoise ope estimate``: its document, its text and its exit codes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.cli import main
from tests.ope import bandit


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    log, target = tmp_path / "log.parquet", tmp_path / "target.parquet"
    bandit.log(1000).to_parquet(log)
    bandit.target().to_parquet(target)
    return ["ope", "estimate", "--log", str(log), "--target", str(target), "--reward", "click"]


def test_the_document_has_every_estimate_with_its_interval(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"n", "ess", "max_weight", "estimates", "verdict", "reasons"} <= document.keys()
    assert document["n"] == 1000
    for name in ("ips", "snips", "dr", "switch_dr", "dros"):
        of = document["estimates"][name]
        assert of["low"] < of["value"] < of["high"]
    assert document["verdict"] == "no_rule"


@pytest.mark.parametrize(
    ("bound", "code", "verdict"), [("0.2", 0, "pass"), ("0.9", 1, "block"), ("0.44", 1, "inconclusive")]
)
def test_a_bound_that_is_not_shown_to_hold_ends_with_1(
    words: list[str], bound: str, code: int, verdict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--at-least", bound]) == code
    printed = capsys.readouterr().out
    assert printed.startswith(f"{verdict.replace('_', ' ')}: dr decides, at least {bound} asked for")
    assert "1,000 rows of 1,000 requests; intervals resample users" in printed


def test_bad_input_ends_with_2_and_one_message(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bandit.log(50).assign(propensity=0.0).to_parquet(tmp_path / "log.parquet")
    assert main(words) == 2
    told = capsys.readouterr().err
    assert told.startswith(
        "DataError: The log: column propensity must be above 0 and at most 1; 50 of 50 rows"
    )
    assert told.count("\n") == 1


def test_an_unknown_estimator_ends_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--estimator", "drr"]) == 2
    assert "Did you mean 'dr'?" in capsys.readouterr().err


def test_a_gradient_is_printed_by_weight(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sign = np.where(np.arange(400) % 2, 1.0, -1.0)
    users = pd.DataFrame({"request_id": range(400), "user_id": range(400), "factor_like": 1 + 0.1 * sign})
    users.assign(click=(sign > 0) & (np.arange(400) % 4 == 1)).to_parquet(tmp_path / "log.parquet")
    words = ["ope", "gradient", "--log", str(tmp_path / "log.parquet"), "--reward", "click"]
    assert main([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["gradients"]["like"]["direction"] == "raise"
    assert document["gradients"]["like"]["value"] == pytest.approx(0.25 / 0.1)
    assert main(words) == 0
    assert "400 requests of 400 users, mean reward of a request 0.25" in capsys.readouterr().out
