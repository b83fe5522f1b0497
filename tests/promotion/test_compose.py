"""What the stores hold of a release becomes its dossier, with the gate's own verdicts or with those it kept.

`equipoise release show SURFACE REF --html` writes a release's page, and opens it on a terminal alone.
"""

import json
import webbrowser
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.cli import main
from tasks.errors import ContractError, StoreError
from tasks.evaluation.release_evidence import GateEvidence
from tasks.evaluation.subjects import ALL, Segment, Threshold
from tasks.evaluation.verdicts import Outcome
from tasks.promotion import compose
from tasks.promotion.compose import (
    list_overrides,
    mlflow_pages,
    recompose,
    write_segment_page,
)
from tasks.promotion.pages.dossier import Dossier
from tasks.promotion.readiness.facts import State
from tasks.release.step import ReleaseResult
from tasks.release.view import release_policy
from tasks.stores.audit import Entry, Kind
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tests.feeds import mini
from tests.feeds.mini import NAME, Retrained
from tests.feeds.small_release import Feed
from tests.reports.vocabularies import WORDS, rail


@pytest.fixture(scope="module")
def evidence(second_retrain: Retrained) -> GateEvidence:
    """What the gate kept of release 2."""
    run = mini.step_runs(second_retrain.workspace, "gate", release=2)[0]
    return second_retrain.workspace.store.runs.read_evidence(run, GateEvidence)


@pytest.fixture(scope="module")
def dossier(second_retrain: Retrained, evidence: GateEvidence) -> Dossier:
    return recompose(second_retrain.workspace, evidence)


def test_it_says_what_is_not_the_champions(dossier: Dossier) -> None:
    assert dossier.documents.simulation.champion == 1
    changed = {change.of: change.words for change in dossier.changes if change.differs}
    assert changed == {
        "data": "labels as of 2026-02-12, 2 days newer",
        "models": "click_30m is new, 5 are the champion's",
        "policy": "click_30m 0.8 -> 1.6",
    }


def test_worth_is_that_of_the_policy_that_the_release_pins(
    second_retrain: Retrained, dossier: Dossier
) -> None:
    workspace = second_retrain.workspace
    assert release_policy(workspace, workspace.releases.manifest(1)).weights["click_30m"].weight == 0.8
    assert dossier.worths is not None
    assert (dossier.worths.version, dossier.worths.policies[0].terms[0].weight) == (2, 1.6)


def test_the_new_kinds_of_evidence_are_there(dossier: Dossier) -> None:
    calendar, shadow = dossier.documents.validation.calendar, dossier.documents.shadow
    assert calendar is not None
    (click,) = [task for task in calendar.tasks if task.task == "click_30m"]
    assert sum(click.observed) > sum(click.positive) > 0
    assert click.immature[-1] > 0, "the last hour before the as-of"
    assert 0 < len(shadow.examples) <= 10
    assert any(one.moved for one in shadow.examples)
    assert all(task.curve for task in dossier.documents.release.tasks)


def test_readiness_is_read_by_the_release_that_is_judged(dossier: Dossier) -> None:
    states = {line.name: line.state for line in dossier.readiness}
    assert len(states) == 17
    assert states["predictions calibrated"] is State.MET
    assert not any("was not evaluated" in line.why for line in dossier.readiness)


def test_where_only_the_store_is_known_nothing_is_linked(
    second_retrain: Retrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mlflow_pages(second_retrain.workspace).address == ""
    monkeypatch.setenv("EQUIPOISE_MLFLOW_URL", "http://mlflow:5000/")
    pages = mlflow_pages(second_retrain.workspace)
    assert pages.version("feed.release", 1) == "http://mlflow:5000/#/models/feed.release/versions/1"
    assert pages.run("r").startswith("http://mlflow:5000/#/experiments/")


def test_an_override_is_read_from_the_audit_for_the_release_that_it_is_about(tmp_path: Path) -> None:
    workspace, audit = Workspace.open(mini.NAME, home=tmp_path), Store.open(tmp_path).audit(mini.NAME)
    for release, override in ((1, None), (2, "a fire sale"), (3, "another")):
        entry = Entry(Kind.PROMOTE, "ana", release, None, "why", "e", override=override)
        audit.append(entry, seen=audit.read())
    assert list_overrides(workspace, 2) == ("By ana: a fire sale",)
    assert list_overrides(workspace, 1) == ()


@pytest.mark.parametrize("step", ["validation", "release", "simulation", "shadow", "later_validation"])
def test_evidence_that_is_gone_is_named(step: str, second_retrain: Retrained, evidence: GateEvidence) -> None:
    runs = replace(evidence.runs, **{step: "0" * 32})
    with pytest.raises(StoreError, match=f"{'0' * 32} has no readable"):
        recompose(second_retrain.workspace, evidence.model_copy(update={"runs": runs}))


def test_the_page_is_written_anew_where_it_is_lost(
    second_retrain: Retrained, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = second_retrain.workspace
    page = Path(compose.write_page(workspace, release=2, browse=False).dossier)
    before = page.read_text(encoding="utf-8")
    page.unlink()
    where = ["--surfaces", str(workspace.surfaces), "--home", str(workspace.home)]
    assert main(["release", "show", NAME, "2", "--html", "--json", *where]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["release"], shown["verdict"], shown["opened"]) == (2, "promote", False)
    assert Path(shown["dossier"]) == page
    assert page.read_text(encoding="utf-8") == before


def test_the_browser_opens_where_it_is_asked_for(
    second_retrain: Retrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def browse(address: str) -> bool:
        opened.append(address)
        return True

    monkeypatch.setattr(webbrowser, "open", browse)
    shown = compose.write_page(second_retrain.workspace, release="challenger", browse=True)
    assert shown.opened
    assert opened == [Path(shown.dossier).resolve().as_uri()]


def test_a_release_that_no_gate_has_judged_has_no_dossier(
    labelled_feed: Feed, released: ReleaseResult
) -> None:
    with pytest.raises(ContractError, match="No gate has evaluated"):
        compose.write_page(labelled_feed[0], release=released.version, browse=False)


OURS, THEIRS = Segment("tenant", "aurora"), Segment("tenant", "dune")
RISE = Threshold(high=0.1)
VERDICTS = [
    rail("hide_rate", Outcome.PASS, 0.011, -0.02, 0.04, allowed=RISE, segment=OURS),
    rail("hide_rate", Outcome.BLOCK, 0.333, 0.2, 0.4, allowed=RISE, segment=THEIRS),
    rail("hide_rate", Outcome.INCONCLUSIVE, 0.055, 0.0, 0.2, allowed=RISE, segment=ALL, holds=False),
]


def test_it_holds_the_figures_of_the_segment_alone() -> None:
    page = write_segment_page("desk release 3", OURS, VERDICTS, WORDS)
    assert "desk release 3: tenant aurora" in page
    assert "1 verdict: 1 pass" in page
    assert "hide rate +1.1 % vs champion 3 (95 % CI -2.0 to +4.0 %; limit +10 %): pass" in page
    assert not any(word in page for word in ("dune", "33.3", "5.5 %", "held"))


def test_a_segment_that_was_not_judged_is_an_error() -> None:
    with pytest.raises(
        ContractError, match=r"Unknown segment 'tenant=dawn' in the verdicts\. Known: tenant="
    ):
        write_segment_page("desk release 3", Segment("tenant", "dawn"), VERDICTS, WORDS)
