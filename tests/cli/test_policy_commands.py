"""A utility policy, shown as a document and as text.

``equipoise ope estimate``: its document, its text and its exit codes.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.cli import main, policy_commands
from tasks.cli.policy_commands import write_tuning
from tasks.cli.program import parse
from tasks.cli.text import as_plain, as_text
from tests.cli.conftest import Document
from tests.feeds import mini, small_feed
from tests.feeds.mini import Retrained
from tests.ope import bandit
from tests.tuning.tuning_documents import evidence


def test_every_context_is_shown_in_units_of_the_outcome_that_was_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_feed.write_contracts(tmp_path)
    words = ["policy", "show", small_feed.NAME, "--surfaces", str(tmp_path), "--home", str(tmp_path / "home")]
    assert main([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    base = document["contexts"][0]
    (unit,) = (term for term in base["terms"] if term["task"] == document["unit"])
    assert unit["worth"] == 1
    assert base["context"] == "base"
    assert main([*words, "--unit", "nothing"]) == 2
    assert "Unknown unit 'nothing'" in capsys.readouterr().err


def test_two_policies_are_compared_in_one_document(second_retrain: Retrained, document: Document) -> None:
    workspace = second_retrain.workspace
    file = str(workspace.surfaces / mini.NAME / "utility.yaml")
    found = document(workspace, "policy", "diff", mini.NAME, "2", file, "--release", "1")
    assert (found["before"]["name"], found["after"]["name"], found["release"]) == ("release 2", file, 1)
    assert found["replaced"]["value"] == 0.0  # release 2 was made under this very file
    assert found["examples"] == []
    assert {one["up"] + one["down"] for one in found["value_changes"]} == {0}
    assert Path(found["report"]).exists()
    document(workspace, "policy", "show", mini.NAME)


def test_what_is_no_policy_is_named(second_retrain: Retrained, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = second_retrain.workspace
    where = ["--surfaces", str(workspace.surfaces), "--home", str(workspace.home)]
    assert main(["policy", "diff", mini.NAME, "2", "nowhere.yaml", *where]) == 2
    assert "'nowhere.yaml' is neither a release of home_feed nor a file" in capsys.readouterr().err


SURFACES = Path(__file__).parents[2] / "surfaces"


def test_a_context_shows_what_it_changes_and_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "show", "home_feed", "--surfaces", str(SURFACES), "--unit", "click_30m"]) == 0
    whole, _, contexts = capsys.readouterr().out.partition("checkout where page is checkout changes:")
    assert "report_7d -150 -188" in " ".join(whole.split())
    assert "12.5 for each of margin" in whole
    assert "max_per creator 2 category 4" in " ".join(whole.split())
    assert "25 for each of margin" in contexts
    assert "report_7d" not in contexts
    assert "slate" not in contexts


def test_what_ranks_before_the_weights_and_what_is_made_of_their_sum_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = "offset: {scale: 0.001}\nlexicographic: [{task: back_2d, cuts: [0.01, 0.1]}, {task: buy_2d, cuts: [0.2]}]\n"
    small_feed.write_contracts(tmp_path, utility=small_feed.UTILITY + more)
    assert main(["policy", "show", small_feed.NAME, "--surfaces", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:3] == [
        "before any weight: back_2d cut at 0.01, 0.1, low first",
        "before any weight: buy_2d cut at 0.2, high first",
    ]
    assert "offset: the sum is made positive, a sum of 0 becomes 0.001" in lines


def test_a_diff_says_who_moves_what_it_does_to_negatives_and_shows_requests() -> None:
    level = {"value": 2.5, "low": 2.0, "high": 3.0, "n": 90}
    fall = {"value": -0.2, "low": -0.3, "high": -0.1, "n": 90}
    side = {"name": "release 3", "policy": "feed-utility", "version": 3}
    slots = [
        {"place": 1, "before": "i1", "after": "i3", "place_before": None},
        {"place": 2, "before": "i2", "after": None, "place_before": None},
    ]
    plain = {
        "before": side,
        "after": {**side, "name": "bold.yaml", "version": 4},
        "release": 3,
        "first_day": "2026-03-01",
        "last_day": "2026-03-07",
        "requests": 1200,
        "users": 400,
        "notes": ["a note"],
        "slate_rules": [
            {"rule": "length", "before": "10", "after": "8"},
            {"rule": "exploration", "before": None, "after": "1 slot"},
        ],
        "replaced": {"value": 0.25, "low": 0.2, "high": 0.3, "n": 400},
        "negatives": [{"task": "hide", "segment": {}, "before": level, "after": level, "relative": fall}],
        "value_changes": [
            {
                "column": "source",
                "value": "ads",
                "up": 1200,
                "down": 3,
                "before": None,
                "after": None,
                "relative": None,
            }
        ],
        "rule": "the most",
        "examples": [{"request": "r-1", "replaced": 1, "slots": slots}],
        "report": "/r.html",
    }
    written = as_text(policy_commands.write_diff(plain))
    lines = [" ".join(line.split()) for line in written.splitlines()]
    assert "after: feed-utility version 4 (bold.yaml)" in lines
    assert "slate length: 10 -> 8" in lines
    assert "slate exploration: none -> 1 slot" in lines
    assert "slots with another item: 25 % (20 to 30)" in lines
    assert "hide all 2.5 (2 to 3) 2.5 (2 to 3) -20.0 % (-30.0 to -10.0)" in lines
    assert "source ads 1,200 3 - - -" in lines
    assert "r-1: 1 of 2 slots" in lines
    assert "1 i1 i3 off" in lines
    assert "2 i2 -" in lines
    assert max(map(len, written.splitlines())) <= 100


def test_the_number_of_trials_has_a_default_and_restoring_is_asked_for() -> None:
    call = parse(["tune", "home_feed", "--release", "3"])
    assert (call.arguments["trials"], call.arguments["seed"], call.arguments["restore"]) == (200, 0, False)
    assert parse(["tune", "home_feed", "--release", "3", "--restore"]).arguments["restore"]


def test_bounds_out_of_reach_are_a_verdict_that_says_no() -> None:
    command = parse(["tune", "home_feed", "--release", "3"]).command
    assert not command.passed({"ending": "out of reach"})
    assert command.passed({"ending": "nothing better"})


def test_a_proposal_is_told_with_what_it_gained_where_it_was_not_chosen() -> None:
    text = " ".join(as_text(write_tuning(as_plain(evidence().content()))).split())
    assert "release 2 against champion 1, candidates from 2026-01-01 to 2026-01-06" in text
    assert (
        "40 policies on 100 requests of half of the users, 3 confirmed on 110 requests of the other half"
        in text
    )
    assert "proposed: version 8, click 1 -> 2, hide -3 -> -6" in text
    assert "click_rate +2.4 % (+1.4 to +3.4) vs the current weights, by outcomes of the other half" in text
    assert "click_predicted, model-judged +4.8 % (+3.8 to +5.8) on the other half, +6.1% where it was" in text
    assert "click_predicted, model-judged hide_predicted (fall), model-judged" in text
    assert "guardrails on the other half: 1 pass" in text


def test_nothing_to_propose_is_told() -> None:
    found = evidence(ending="within bounds", proposal=None, front=(), exceeded={"hide_rate": 0.02})
    text = as_text(write_tuning(as_plain(found.content())))
    assert "every bound holds under the current weights" in text
    assert "exceeded by the current weights: hide_rate, by 2%" in text


def told(weights: dict[str, float]) -> str:
    plain = as_plain(evidence().content())
    return " ".join(
        as_text(write_tuning({**plain, "proposal": {**plain["proposal"], "weights": weights}})).split()
    )


def test_weights_have_three_digits_and_those_that_stay_are_not_told() -> None:
    assert "version 8, click 1 -> 1.23 click_rate +2.4 %" in told({"click": 1.2345, "hide": -3.0})
    assert "version 8, weights as now click_rate +2.4 %" in told({"click": 1.0001, "hide": -3.0})


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
