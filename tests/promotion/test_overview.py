"""How the mini feed's two releases stand, as the page in Airflow reads it."""

import html
from pathlib import Path

import pytest

from tasks.errors import ContractError, StoreError
from tasks.labels.build_record import DayState
from tasks.promotion import overview
from tasks.stores import delta
from tasks.stores.audit import Entry, Kind
from tasks.stores.store import Store
from tasks.stores.tracking import current
from tasks.stores.workspace import Workspace
from tests.feeds import mini
from tests.feeds.mini import AS_OF, LATER, NAME
from tests.promotion.moves.moving import MODEL, promote_2
from tests.stores.mlflow_home import new_home


def test_the_champion_comes_first_with_its_day_and_its_verdict(workspace: Workspace) -> None:
    found = overview.read_aliases(workspace)
    assert [(one.alias, one.version, one.as_of) for one in found.releases] == [
        ("champion", 1, AS_OF),
        ("challenger", 2, LATER),
    ]
    assert all(one.verdict in {"promote", "hold"} for one in found.releases)
    assert found.mismatch == ""


def test_an_alias_that_was_moved_by_hand_is_named(workspace: Workspace) -> None:
    registry = workspace.store.registry
    registry.set_alias(registry.part(MODEL, 2), "champion")
    found = overview.read_aliases(workspace)
    assert found.releases[0].version == 2
    assert "Somebody updated an alias of home_feed.release by hand" in found.mismatch


def test_an_alias_of_a_version_that_we_did_not_register_hides_nothing_else(workspace: Workspace) -> None:
    client = workspace.store.registry.client
    source = client.get_model_version(MODEL, "1").source
    with current(client.tracking_uri):
        foreign = client.create_model_version(MODEL, source)
    client.set_registered_model_alias(MODEL, "stray", foreign.version)
    try:
        found = overview.read_aliases(workspace)
        assert [one.alias for one in found.releases] == ["champion", "challenger"]
        assert f"stray means version {foreign.version}, which is no release of ours" in found.mismatch
    finally:
        client.delete_model_version(MODEL, foreign.version)


def test_what_the_gates_said_and_the_moves_newest_first(workspace: Workspace) -> None:
    promote_2(workspace)
    found = overview.read(workspace)
    assert set(found.evidence) == {1, 2}
    assert (overview.describe_entry(found.moves[0]), found.moves[0].by) == ("promote: champion 1 → 2", "ana")
    assert found.problems == ()


def test_what_holds_a_release_is_said_in_the_words_of_its_dossier(workspace: Workspace) -> None:
    page = html.unescape(overview.dossier(workspace, release=2))
    reasons = overview.read(workspace).evidence[2].reasons
    assert all(reason in page for reason in reasons)


def test_an_override_is_named_where_it_let_a_release_through() -> None:
    entry = Entry(Kind.PROMOTE, "ana", 2, 1, "carts rose", "e", override="a sale (lead lifts shadow)")
    assert overview.describe_entry(entry) == "promote: champion 1 → 2, by an override"


def test_the_calendar_says_which_days_are_mature_as_of_the_newest_build(workspace: Workspace) -> None:
    labels = overview.read(workspace).labels
    assert labels is not None
    assert (labels.as_of, labels.notes) == (LATER, ())
    days = {of_task.task: of_task for of_task in labels.tasks}
    assert list(days) == list(workspace.contracts.tasks.tasks)
    # clicks mature in an hour and returns in seven days: two until the purchase, five after it
    assert days["click_30m"].count(DayState.IMMATURE) == 1
    assert days["return_5d"].count(DayState.IMMATURE) == 7
    assert days["click_30m"].count(DayState.MATURE) == 34


def test_a_dossier_that_somebody_changed_is_not_shown(workspace: Workspace) -> None:
    store = workspace.store
    run = store.runs.newest(NAME, step="gate", release=2)
    assert run is not None
    page = overview.dossier(workspace, release=2)
    store.client.log_text(run, page.replace("HOLD", "PROMOTE") + "<!-- -->", "dossier.html")
    try:
        with pytest.raises(StoreError, match=r"dossier\.html of run .* is not what its step wrote"):
            overview.dossier(workspace, release=2)
    finally:
        store.client.log_text(run, page, "dossier.html")


def test_a_dossier_is_the_page_that_the_gate_wrote(workspace: Workspace) -> None:
    page = overview.dossier(workspace, release=2)
    assert page == (workspace.reports / "dossier-release-2.html").read_text(encoding="utf-8")
    with pytest.raises(ContractError, match="version"):
        overview.dossier(workspace, release=99)


def test_a_surface_without_anything_has_nothing_and_reading_writes_nothing(
    mini_surfaces: Path, tmp_path: Path
) -> None:
    bare = Workspace.open(NAME, surfaces=mini_surfaces, home=new_home(tmp_path / "home"))
    before = Store.open(bare.home).registry.client.search_experiments()
    found = overview.read(bare)
    assert (found.aliases.releases, found.moves, found.labels, found.problems) == ((), (), None, ())
    assert len(Store.open(bare.home).registry.client.search_experiments()) == len(before)
    assert delta.version_of(Store.open(bare.home).audit(NAME).path) is None


def test_contracts_that_cannot_be_read_hide_the_calendar_the_monitor_and_experiments_alone(
    workspace: Workspace, tmp_path: Path
) -> None:
    broken = mini.changed(workspace, tmp_path, utility=lambda plain: plain.update(weights={"clikc_30m": 1}))
    found = overview.read(broken)
    assert found.aliases.releases
    assert found.labels is None
    calendar, series, experiments = found.problems
    assert "label calendar cannot be read" in calendar
    assert "series of the monitor cannot be read" in series
    assert "read-outs of experiments cannot be read" in experiments
    assert "clikc_30m" in calendar


def test_a_lost_audit_is_said_and_hides_neither_releases_nor_labels(workspace: Workspace) -> None:
    log = workspace.store.audit(NAME).path / "_delta_log"
    assert isinstance(log, Path)
    torn = max(log.glob("*.json"))
    kept = torn.read_bytes()
    torn.write_bytes(b"{")
    try:
        found = overview.read(workspace)
        assert found.aliases.mismatch
        assert found.aliases.releases
        assert found.labels is not None
    finally:
        torn.write_bytes(kept)
