"""Commands on releases, on one that was made before; what moves the champion is tested in tests/promotion."""

from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from tasks.cli import main, release_commands
from tasks.cli.release_commands import write_explanation, write_release_diff
from tasks.cli.text import as_text
from tasks.evaluation.subjects import ALL, Segment
from tasks.labels.store import LabelStore
from tasks.release.step import ReleaseResult
from tasks.stores.workspace import Workspace
from tests.cli.conftest import Document
from tests.contracts.files import setting
from tests.feeds import mini
from tests.feeds.mini import Retrained
from tests.feeds.small_feed import NAME, SURFACE, UTILITY, write_contracts
from tests.feeds.small_release import Feed
from tests.verdicts import subject, subject_of


@pytest.fixture
def workspace(labelled_feed: Feed, released: ReleaseResult) -> Workspace:
    return labelled_feed[0]


@pytest.fixture
def candidates(labelled_feed: Feed, tmp_path: Path) -> Path:
    workspace, snapshot = labelled_feed
    names = ["request_id", "item_id", "price", "age", "category"]
    table = LabelStore(workspace.store, NAME).snapshot(snapshot).read(names).select(names)
    pq.write_table(table.slice(0, 50), tmp_path / "candidates.parquet")
    return tmp_path / "candidates.parquet"


def test_releases_are_listed_with_the_newest_first(workspace: Workspace, document: Document) -> None:
    versions = [row["version"] for row in document(workspace, "release", "list", NAME)]
    assert versions == sorted(versions, reverse=True)


def test_a_release_is_shown_by_its_version_or_its_alias(
    workspace: Workspace, released: ReleaseResult, document: Document
) -> None:
    shown = document(workspace, "release", "show", NAME, str(released.version))
    assert shown["pins"] == released.pins
    assert "challenger" in document(workspace, "release", "show", NAME, "challenger")["aliases"]


def test_a_release_before_its_gates_has_neither_reasons_nor_a_dossier(
    workspace: Workspace, released: ReleaseResult, document: Document
) -> None:
    shown = document(workspace, "release", "show", NAME, str(released.version))
    assert (shown["reasons"], shown["dossier"]) == ([], None)


def test_a_release_differs_in_nothing_from_itself(
    workspace: Workspace, released: ReleaseResult, document: Document
) -> None:
    found = document(workspace, "release", "diff", NAME, str(released.version), "challenger")
    assert (found["contracts"], found["parts"]) == ([], {})
    assert (found["weights"], found["verdicts"]) == ([], [])
    assert found["from"]["version"] == found["to"]["version"] == released.version
    assert all(a == b for figures in found["metrics"].values() for a, b in figures.values())


def test_a_whole_release_verifies(workspace: Workspace, released: ReleaseResult, document: Document) -> None:
    assert document(workspace, "release", "verify", NAME, str(released.version))["problems"] == []


def test_without_a_move_the_history_is_empty(workspace: Workspace, document: Document) -> None:
    assert document(workspace, "release", "history", NAME) == []


def test_candidates_are_scored_into_a_file_and_a_request_of_them_is_explained(
    workspace: Workspace, released: ReleaseResult, candidates: Path, document: Document, tmp_path: Path
) -> None:
    source = ("--release", str(released.version), "--input", str(candidates))
    scored = document(workspace, "score", NAME, *source, "--out", str(tmp_path / "scored.parquet"))
    frame = pd.read_parquet(scored["out"])
    assert (scored["candidates"], len(frame)) == (50, 50)
    request = frame["request_id"].iloc[0]
    terms = document(workspace, "explain", NAME, *source, "--request", str(request))
    assert {term["request_id"] for term in terms} == {request}


@pytest.mark.parametrize(("most", "code"), [(0.9, 0), (0.0001, 1)])
def test_a_simulation_ends_with_exit_code_1_where_a_guardrail_blocks(
    most: float, code: int, workspace: Workspace, released: ReleaseResult, document: Document, tmp_path: Path
) -> None:
    utility = UTILITY.replace("version: 1", "version: 2").replace(
        "{metric: back_2d_rate, relative_increase_max: 0.05, action: block}",
        "{metric: back_2d_rate, relative_increase_max: 5.0, action: block}, "
        f"{{metric: click_1d_predicted, max: {most}, action: block}}",
    )
    surface = SURFACE + "shown_is_all: true\ngates: {decision: {first: {column: price}}}\n"
    other = replace(workspace, surfaces=write_contracts(tmp_path, utility=utility, surface=surface))
    found = document(other, "simulate", NAME, "--release", str(released.version), code=code)
    outcomes = {subject_of(one): one["outcome"] for one in found["guardrails"]}
    assert outcomes["click_1d_predicted"] == ("block" if code else "pass")


def test_a_shadow_ends_with_exit_code_1_where_a_bound_of_the_surface_blocks(
    second_retrain: Retrained, document: Document, tmp_path: Path
) -> None:
    """Half of the first weights, hides of new users twice: the slates overlap, but not by 99.9 %."""
    words = ("shadow", mini.NAME, "--challenger", "2", "--as-of", mini.LATER.isoformat())
    workspace = second_retrain.workspace

    def outcomes(where: Workspace, code: int) -> dict[str, str]:
        verdicts = document(where, *words, code=code)["verdicts"]
        return {subject_of(one): one["outcome"] for one in verdicts}

    strict = mini.changed(workspace, tmp_path, surface=setting("gates.shadow.overlap_at_k_min", 0.999))
    loose, held = outcomes(workspace, 0), outcomes(strict, 1)
    assert (loose["overlap_at_k"], loose["score_shift"]) == ("pass", "pass")
    assert (held["overlap_at_k"], held["score_shift"]) == ("block", "pass")
    assert [subject for subject, outcome in held.items() if outcome == "block"] == ["overlap_at_k"]


@pytest.mark.parametrize(
    "words",
    [
        ["simulate", NAME, "--release", "99"],
        ["shadow", NAME, "--challenger", "99", "--as-of", "2026-02-16T00:00:00Z"],
        ["release", "show", NAME, "99"],
        ["promote", NAME, "99", "--why", "a test"],
    ],
)
def test_a_release_that_is_not_there_is_refused(
    words: list[str], workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--surfaces", str(workspace.surfaces), "--home", str(workspace.home)]
    assert main([*words, *where]) == 2
    assert "99" in capsys.readouterr().err


def test_a_move_needs_a_reason(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rollback", NAME]) == 2
    assert "Missing option '--why'" in capsys.readouterr().err


def test_readiness_ends_with_1_while_a_line_is_not_met(workspace: Workspace, document: Document) -> None:
    found = document(workspace, "readiness", NAME, code=1)
    assert (len(found["lines"]), found["ready"]) == (17, False)
    assert {line["state"] for line in found["lines"]} <= {"met", "not met", "not applicable"}


CANDIDATE: dict[str, Any] = {
    "request_id": "r1",
    "item_id": "i17",
    "utility": 0.4012345,
    "rank": 1,
    "slate_position": 2,
    "dropped_by": None,
    "context": "new_users",
    "tier": None,
    "constraints": None,
    "moved_by": "max_per:creator",
    "utility_error": 0.0212,
    "untold": None,
    "gap": 0.0912,
    "gap_error": 0.0123,
    "order": "significant",
    "no_ratios": None,
}
CLICK: dict[str, Any] = {
    "task": "click_30m",
    "head": "click_30m",
    "prediction": 0.1402,
    "weight": 0.8,
    "times": None,
    "value": None,
    "contribution": 0.11216,
    "calibration_ratio": 1.02,
    "error": 0.0022,
    "error_low": -0.0034,
    "error_high": 0.0078,
}
BUY: dict[str, Any] = {
    "task": "purchase_7d",
    "head": "purchase_7d",
    "prediction": 0.0111,
    "weight": 20.0,
    "times": "margin",
    "value": 1.3,
    "contribution": 0.289,
    "calibration_ratio": 0.97,
    "error": -0.01,
    "error_low": -0.05,
    "error_high": 0.02,
}


def written(*terms: dict[str, Any], **fields: Any) -> list[str]:
    return as_text(write_explanation([CANDIDATE | term | fields for term in terms])).splitlines()


def test_a_candidate_has_its_error_bar_its_gap_and_its_terms_below_it() -> None:
    assert written(CLICK, BUY) == [
        "request r1",
        "",
        "1. i17, slot 2, moved by max_per:creator, context new_users",
        "   utility 0.401 +/- 0.021; 0.0912 +/- 0.012 above the next: order significant",
        "   click_30m    0.14 x 0.8                = +0.112  error +0.0022 [-0.0034, 0.0078]",
        "   purchase_7d  0.0111 x 20 x margin 1.3  = +0.289  error -0.01 [-0.05, 0.02]",
    ]


def test_the_head_that_counts_is_named_and_a_column_has_no_prediction() -> None:
    best = BUY | {"task": "best", "times": None}
    risk = CLICK | {
        "task": "risk",
        "head": None,
        "prediction": None,
        "weight": -1.0,
        "times": "risk",
        "value": 5.0,
    }
    lines = [" ".join(line.split()) for line in written(best, risk)]
    assert any(line.startswith("best 0.0111 of purchase_7d x 20 =") for line in lines)
    assert any(line.startswith("risk -1 x risk 5 =") for line in lines)


def test_a_total_stands_beside_the_utility_that_was_made_of_it() -> None:
    lines = written(CLICK, total=0.8, multiplied_by="less_of_this", order="by_multiplier", moved_by=None)
    assert lines[2] == "1. i17, slot 2, multiplied by less_of_this, context new_users"
    assert lines[3] == (
        "   utility 0.401 of a total of 0.8 +/- 0.021; 0.0912 +/- 0.012 above the next: by multiplier"
    )


def test_an_order_within_the_error_says_so() -> None:
    assert written(CLICK, order="within_error")[3].endswith(": within the error")
    assert written(CLICK, order="by_tier", gap=-0.2)[3] == (
        "   utility 0.401 +/- 0.021; 0.2 +/- 0.012 below the next: by tier"
    )


def test_what_the_slate_asked_in_vain_stands_at_the_head() -> None:
    assert written(CLICK, unmet="length 9 of 10 (9 at hand)")[1] == (
        "slate rules that could not be met: length 9 of 10 (9 at hand)"
    )


def test_what_is_out_has_no_next() -> None:
    out = {
        "rank": None,
        "slate_position": None,
        "moved_by": None,
        "gap": None,
        "gap_error": None,
        "order": None,
    }
    lines = written(CLICK, **out, constraints="violation (unknown)")
    assert lines[2:4] == [
        "out i17, dropped by violation (unknown), context new_users",
        "   utility 0.401 +/- 0.021",
    ]


def test_a_value_that_is_missing_leaves_utility_and_contribution_unknown() -> None:
    unknown = dict.fromkeys(("value", "contribution", "error", "error_low", "error_high"))
    dropped = dict.fromkeys(
        ("utility", "utility_error", "rank", "slate_position", "gap", "gap_error", "order")
    )
    lines = written(BUY | unknown, **dropped, constraints="unknown_value:margin")
    assert lines[3:] == ["   utility unknown", "   purchase_7d  0.0111 x 20 x margin unknown  = unknown"]


def test_an_error_that_cannot_be_told_is_named_at_the_head() -> None:
    unknown = dict.fromkeys(("calibration_ratio", "error", "error_low", "error_high"))
    lines = written(CLICK | unknown, BUY, untold="click_30m", order="inconclusive")
    assert "no error of click_30m: the release's test days hold no calibration ratio of it" in lines[1]
    assert lines[5] == (
        "   utility 0.401 +/- at least 0.021; 0.0912 +/- at least 0.012 above the next: inconclusive"
    )
    assert lines[6].endswith("= +0.112  error unknown")


def test_a_release_without_figures_says_why_and_shows_no_error() -> None:
    without = dict.fromkeys(("error", "error_low", "error_high", "utility_error", "gap_error", "order"))
    lines = written(CLICK | without, **without, untold="click_30m", no_ratios="Run 7 has no evidence.json.")
    assert lines[1] == "no errors: Run 7 has no evidence.json."
    assert "+/-" not in "\n".join(lines)


def test_long_names_are_wrapped_within_the_width() -> None:
    named = dict.fromkeys(("task", "head"), "purchase_of_something_dear_28d")
    long = BUY | named | {"times": "expected_margin_after_discounts"}
    lines = written(CLICK, long, order="by_tier", item_id="i02400-with-a-name-of-its-own/0")
    assert max(map(len, lines)) <= 100


def test_no_figure_has_more_than_three_digits_nor_an_exponent_where_zeros_can_be_counted() -> None:
    rare = {**CLICK, "prediction": 0.00000123456, "weight": -12345.6, "contribution": -0.0152413}
    lines = written(rare, utility=1234.5678)
    assert lines[3].startswith("   utility 1,235 +/- 0.021;")
    assert lines[4].split("  error")[0].split() == ["click_30m", "0.00000123", "x", "-12,346", "=", "-0.0152"]


HIDE = subject("hide_rate").to_json()
LEVEL = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 90}


SIMULATED = {
    "release": 3,
    "baseline": "champion 2",
    "report": "/r.html",
    "guardrails": [],
    "measured": [],
    "others": {},
    "policies": [],
    "off_policy": [],
}


def figure(name: str, policy: object, baseline: object, relative: object) -> dict[str, Any]:
    levels = {"policy": policy, "baseline": baseline, "relative": relative}
    return {"subject": subject(name).to_json(), "segment": {}, **levels}


def verdict(name: str, outcome: str, segment: Segment = ALL) -> dict[str, Any]:
    return {
        "subject": subject(name).to_json(),
        "segment": segment.to_json(),
        "outcome": outcome,
        "observed": LEVEL,
        "relative": True,
        "threshold": {"high": 0.05, "words": "rise of 5.0%"},
    }


def test_harmed_segments_stand_before_the_primary() -> None:
    guardrails = [
        verdict("observed_utility", "pass"),
        verdict("hide_rate", "block", Segment("tenure", "new")),
    ]
    rate = figure("click_rate", LEVEL, None, {**LEVEL, "low": None})
    coverage = figure("coverage", LEVEL, LEVEL, LEVEL)
    plain = {**SIMULATED, "guardrails": guardrails, "measured": [rate, coverage]}
    lines = as_text(release_commands.write_simulation(plain)).splitlines()
    assert lines[0] == "release 3 against champion 2"
    written = " ".join(lines[2].split())
    assert written == "block hide_rate tenure=new +50.0 % (+25.0 to +75.0) rise of 5.0%"
    assert lines[3].startswith("pass")
    assert " ".join(lines[-2].split()) == "click_rate 0.5 (0.25 to 0.75) - +50.0 %, no interval"
    assert lines[-1] == "report: /r.html"


def test_a_further_policy_is_written_with_its_verdicts_and_metrics_beside_the_same_baseline() -> None:
    broken = [verdict("hide_rate", "block")]
    figures = [figure("click_rate", LEVEL, None, LEVEL), figure("coverage", None, None, None)]
    best = {"name": "bold.yaml", "gain": 0.05, "gain_without_luck": 0.031}
    selection = {"policies": 7, "luck": 1.352, "best": best}
    policies = [{}, {"name": "bold.yaml", "verdict": "block", "verdicts": broken}]
    further = {"policies": policies, "others": {"bold.yaml": figures}, "selection": selection}
    written = " ".join(as_text(release_commands.write_simulation({**SIMULATED, **further})).split())
    assert (
        "7 policies were measured on these days: the best of as many equal ones looks 1.35 standard"
        in written
    )
    assert "bold.yaml gains +5.0%, without that luck +3.1%" in written
    assert "bold.yaml against champion 2: block" in written
    assert "block hide_rate all +50.0 % (+25.0 to +75.0) rise of 5.0%" in written
    assert "click_rate 0.5 (0.25 to 0.75) - +50.0 % (+25.0 to +75.0)" in written
    assert "coverage - - -" in written


def test_an_off_policy_estimate_stands_beside_the_replay_and_says_why_it_inconclusive() -> None:
    figures = {"replayed": LEVEL, "off_policy": {**LEVEL, "low": None}, "ess": 1234.4}
    one = {"subject": HIDE, "bound": "level", "verdict": "disagrees", "reason": "", **figures}
    thin = {
        "subject": subject("buy_rate").to_json(),
        "bound": "change",
        "verdict": "inconclusive",
        "reason": "3 outcomes",
        **figures,
    }
    checks = [one, {**thin, "ess": None}, {**thin, "subject": subject("like_rate").to_json()}]
    written = as_text(release_commands.write_simulation({**SIMULATED, "off_policy": checks}))
    assert "no effect on the verdict" in written
    assert "disagrees hide_rate 0.5 (0.25 to 0.75) 0.5, no interval 1,234" in " ".join(written.split())
    assert "inconclusive buy_rate +50.0 % (+25.0 to +75.0) +50.0 %, no interval -" in " ".join(
        written.split()
    )
    assert "  buy_rate, like_rate: 3 outcomes\n" in written


def test_names_are_whole_on_a_narrow_terminal() -> None:
    named = verdict(
        "observed_utility vs four promotions ago", "pass", Segment("user_tenure", "returning_after_months")
    )
    out = StringIO()
    Console(width=60, file=out).print(release_commands.write_simulation({**SIMULATED, "guardrails": [named]}))
    written = out.getvalue()
    assert "\u2026" not in written
    column = "".join(line[9:].split("  ")[0].strip() for line in written.splitlines()[2:])
    assert "observed_utilityvsfour" in column.replace(" ", "")


def test_a_shadow_is_a_table_with_the_reasons_of_what_is_no_pass() -> None:
    overlap = {**verdict("overlap_at_k", "block"), "relative": False, "reason": "slates differ"}
    served = {
        **verdict("served", "no_rule"),
        "observed": None,
        "threshold": {},
        "reason": "not logged",
    }
    plain = {"challenger": 2, "champion": 1, "day": "2026-02-11", "candidates": 4800, "run_id": "r1"}
    lines = as_text(release_commands.write_shadow({**plain, "verdicts": [overlap, served]})).splitlines()
    assert lines[0] == "release 2 compared with champion 1: 4,800 candidates of 2026-02-11"
    assert lines[2].split()[:5] == ["block", "overlap_at_k", "all", "0.5", "(0.25"]
    assert lines[-3:] == ["  overlap_at_k: slates differ", "  served: not logged", "run: r1"]
    first = as_text(release_commands.write_shadow({**plain, "champion": None, "verdicts": []}))
    assert first.startswith("release 2 without a champion: ")


def test_releases_are_compared_side_by_side() -> None:
    side = {"version": 3, "as_of": "2026-01-01", "verdict": "hold", "reasons": ["few"]}
    auc = {"gate": "model", "subject": {"metric": "auc", "task": "click"}, "segment": {}}
    utility, latency = ({"subject": {"metric": one}} for one in ("observed_utility", "latency_p99_ms"))
    rise, unclear, slow = (
        dict(zip(("value", "low", "high", "n"), each, strict=True))
        for each in ((0.05, 0.01, 0.09, 90), (0.02, None, None, 3), (84.0, 80.5, 90.0, 9))
    )
    plain = {
        "from": side,
        "to": {**side, "version": 4, "verdict": None, "reasons": []},
        "contracts": ["utility"],
        "parts": {"feed.click": [1, 2]},
        "weights": [{"task": "hide", "context": None, "from": "-3", "to": "-9"}],
        "verdicts": [{**auc, "from": "inconclusive", "to": None}],
        "simulated": [
            {**utility, "relative": True, "from": rise, "to": unclear},
            {**latency, "relative": False, "from": None, "to": slow},
        ],
        "metrics": {
            "click": {"auc": [0.7, 0.71], "auc_by_request": [0.70012, 0.70024], "rows": [10, 10]},
            "buy": {"auc": [None, 0.6], "rows": [9, 10]},
        },
    }
    written = as_text(write_release_diff(plain))
    assert "from: release 3 as of 2026-01-01, hold" in written
    assert "- few" in written
    assert "to: release 4 as of 2026-01-01, not evaluated" in written
    assert "feed.click 1 -> 2" in written
    assert "hide -3 -> -9" in written
    assert "model click.auc all inconclusive -> none" in written
    assert "observed_utility +5.0 % (+1.0 to +9.0) +2.0 %, no interval" in " ".join(written.split())
    assert "latency_p99_ms - 84 (80.5 to 90)" in " ".join(written.split())
    rows = [line.split() for line in written.splitlines()[-4:]]
    assert rows[0] == ["click", "AUC", "0.7", "0.71"]
    assert rows[1] == ["click", "AUC", "within", "requests", "0.7001", "0.7002"], "as many digits as differ"
    assert rows[2:] == [["buy", "AUC", "-", "0.6"], ["buy", "rows", "9", "10"]]
