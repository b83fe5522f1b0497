"""`equipoise release show SURFACE REF --html` writes a release's page, and opens it on a terminal alone."""

import json
import webbrowser
from pathlib import Path

import pytest

from tasks.cli import main
from tasks.errors import ContractError
from tasks.promotion import show_dossier
from tasks.release.step import ReleaseResult
from tests.feeds.mini import NAME, Retrained
from tests.feeds.small_release import Feed


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
    with pytest.raises(ContractError, match="No gate has judged"):
        show_dossier.run(labelled_feed[0], release=released.version, browse=False)
