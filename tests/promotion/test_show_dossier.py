"""`equipoise release show SURFACE REF --html` writes a release's page, and opens it on a terminal alone."""

import json
import webbrowser
from pathlib import Path

import pytest

from tasks.cli import main
from tasks.errors import ContractError
from tasks.evaluation.subjects import ALL, Segment, Threshold
from tasks.evaluation.verdicts import Outcome
from tasks.promotion import show_dossier
from tasks.promotion.show_dossier import write_segment_page
from tasks.release.step import ReleaseResult
from tests.feeds.mini import NAME, Retrained
from tests.feeds.small_release import Feed
from tests.reports.vocabularies import WORDS, rail


def test_the_page_is_written_anew_where_it_is_lost(
    second_retrain: Retrained, capsys: pytest.CaptureFixture[str]
) -> None:
    page, workspace = Path(second_retrain.result.dossier), second_retrain.workspace
    before = page.read_text(encoding="utf-8")
    page.unlink()
    where = ["--surfaces", str(workspace.surfaces), "--home", str(workspace.home)]
    capsys.readouterr()
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
    shown = show_dossier.run(second_retrain.workspace, release="challenger", browse=True)
    assert shown.opened
    assert opened == [Path(shown.dossier).resolve().as_uri()]


def test_a_release_that_no_gate_has_judged_has_no_dossier(
    labelled_feed: Feed, released: ReleaseResult
) -> None:
    with pytest.raises(ContractError, match="No gate has evaluated"):
        show_dossier.run(labelled_feed[0], release=released.version, browse=False)


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
