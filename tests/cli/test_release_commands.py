"""Commands on releases, on one that was made before; what moves the champion is tested in tests/promotion."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tasks.cli import main
from tasks.labels.store import LabelStore
from tasks.release.step import ReleaseResult
from tasks.stores.workspace import Workspace
from tests.cli.conftest import Document
from tests.feeds import mini
from tests.feeds.mini import Retrained
from tests.feeds.small_feed import NAME, SURFACE, UTILITY, write_contracts
from tests.feeds.small_release import Feed
from tests.verdicts import subject_of


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

    def ask(plain: dict[str, Any]) -> None:
        plain["gates"]["shadow"]["overlap_at_k_min"] = 0.999

    words = ("shadow", mini.NAME, "--challenger", "2", "--as-of", mini.LATER.isoformat())
    workspace = second_retrain.workspace

    def outcomes(where: Workspace, code: int) -> dict[str, str]:
        verdicts = document(where, *words, code=code)["verdicts"]
        return {subject_of(one): one["outcome"] for one in verdicts}

    strict = mini.changed(workspace, tmp_path, surface=ask)
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
