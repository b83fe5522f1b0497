"""A release goes through its stages by what its log shows, is rolled back by itself, and each move is audited."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from tasks.cli import main
from tasks.contracts.gates import UserPool
from tasks.errors import AuditMismatch, ContractError, DataError, GateRefused
from tasks.experiments.ramp_log import assign
from tasks.promotion.moves import ramp
from tasks.promotion.moves.ramp import Advance, RampResult
from tasks.stores.audit import Entry, Kind
from tasks.stores.workspace import Workspace
from tests.feeds import ramp_feed
from tests.feeds.ramp_feed import BEGAN, EQUAL, Rates, ramping, write_log
from tests.stores.registered import append, register


def after(days: float) -> datetime:
    return BEGAN + timedelta(days=days)


def moves(workspace: Workspace) -> list[tuple[str, float | None]]:
    return [(entry.kind.value, entry.share) for entry in workspace.audit.entries()]


def aliases(workspace: Workspace) -> dict[str, int]:
    return workspace.store.registry.aliases(workspace.aliases.model)


def stepped(
    folder: Path, *, days: int, stages: int = 1, rates: Rates = EQUAL
) -> tuple[Workspace, RampResult]:
    workspace = ramping(folder, stages=stages)
    write_log(workspace, days=days, rates=rates, stages=stages)
    return workspace, ramp.run(workspace, as_of=after(days))


def test_a_harmless_release_advances_with_its_figures_in_the_audit(tmp_path: Path) -> None:
    workspace, result = stepped(tmp_path, days=2)
    assert (result.state, result.stage, result.of, result.share) == ("advance", 1, 2, 0.25)
    row = workspace.audit.entries()[-1]
    assert (row.kind, row.release, row.champion, row.share, row.by) == (Kind.CANARY, 2, 1, 0.5, ramp.BY)
    assert "hide_7d_rate: harm" in row.why
    assert row.evidence
    assert aliases(workspace) == {"champion": 1, "canary": 2}
    part = workspace.store.registry.part(workspace.aliases.model, 2)
    assert workspace.store.registry.tags(part)["canary_share"] == "0.5"
    assert [one.alarm for one in result.guardrails] == [False, False]


@pytest.mark.parametrize("rates", [Rates(hides=(0.1, 0.2)), Rates(likes=(0.2, 0.1))])
def test_a_harmful_release_is_rolled_back_by_itself(tmp_path: Path, rates: Rates) -> None:
    workspace, result = stepped(tmp_path, days=2, rates=rates)
    assert result.state == "roll_back"
    assert result.moved is not None
    assert moves(workspace)[-1] == ("withdraw", None)
    assert aliases(workspace) == {"champion": 1}
    again = ramp.run(workspace, as_of=after(2))
    assert (again.state, again.release, again.moved) == ("rolled_back", 2, None)
    assert len(moves(workspace)) == 3


@pytest.mark.parametrize(
    ("row", "state", "left"),
    [
        (Entry(Kind.CANARY, ramp.BY, 2, 1, "no harm", share=0.5), "wait", {"champion": 1, "canary": 2}),
        (Entry(Kind.WITHDRAW, ramp.BY, 2, 1, "harm"), "rolled_back", {"champion": 1}),
    ],
)
def test_a_step_that_was_killed_after_its_row_is_carried_out_once(
    tmp_path: Path, row: Entry, state: str, left: dict[str, int]
) -> None:
    workspace = ramping(tmp_path)
    write_log(workspace, days=2)
    append(workspace.aliases, row)
    assert ramp.run(workspace, as_of=after(2)).state == state
    assert aliases(workspace) == left
    assert len(moves(workspace)) == 3
    part = workspace.store.registry.part(workspace.aliases.model, 2)
    tag = workspace.store.registry.tags(part).get("canary_share")
    assert tag == (None if row.share is None else str(row.share))


def test_after_the_last_stage_people_may_promote_it(tmp_path: Path) -> None:
    workspace, result = stepped(tmp_path, days=4, stages=2)
    assert (result.state, result.stage) == ("finish", 2)
    assert moves(workspace)[-1] == ("ramped", None)
    assert aliases(workspace) == {"champion": 1, "canary": 2}
    assert ramp.run(workspace, as_of=after(5)).state == "ramped"
    workspace.aliases.add(lambda *_: Entry(Kind.PROMOTE, "ana", 2, 1, "likes rose"))
    assert ramp.run(workspace, as_of=after(5)).state == "promoted"


def test_the_present_moves_nothing_twice_and_a_dry_run_nothing_at_all(tmp_path: Path) -> None:
    workspace = ramping(tmp_path)
    write_log(workspace, days=2)
    assert ramp.run(workspace, as_of=after(2), dry_run=True).state == "advance"
    assert len(moves(workspace)) == 2
    first = ramp.run(workspace, as_of=after(2), run="scheduled__1")
    again = ramp.run(workspace, as_of=after(2), run="scheduled__1")
    assert again.moved == first.moved
    assert len(moves(workspace)) == 3
    assert ramp.run(workspace, as_of=after(2), run="scheduled__2").moved is None, "the stage has just begun"


def test_an_effect_that_depends_on_the_share_is_noted_with_the_row(tmp_path: Path) -> None:
    """Hides of the treated double with the second stage, at which the other arm's do not change."""
    workspace = ramping(tmp_path, stages=2)
    write_log(workspace, days=4, stages=2, rates=Rates(hides=(0.1, 0.12)))
    log = workspace.home / "logs" / ramp_feed.NAME
    shown, events = (pd.read_parquet(log / table / "a.parquet") for table in ("impressions", "events"))
    first = shown.set_index("request_id")["shown_at"].groupby(level=0).first()
    treated = shown.groupby("request_id")["release"].first() == "2"
    early = events["request_id"].map((first < after(2)) & treated)
    even = events["happened_at"].dt.second % 2 == 0
    events[~((events["event"] == "hide") & early & even)].to_parquet(log / "events" / "a.parquet")
    result = ramp.run(workspace, as_of=after(4), dry_run=True)
    assert [note.partition(" (z")[0] for note in result.notes] == [
        "the effect on hide_7d_rate at 0.5 differs from that at 0.25"
    ]
    write_log(workspace, days=4, stages=2)
    equal = ramp.run(workspace, as_of=after(4))
    assert equal.notes == []


HALVES = {2: UserPool(1, 0.0, 0.5), 3: UserPool(2, 0.5, 1.0)}
"""The pools of two releases that ramp at once."""


def ramping_at_once(folder: Path) -> Workspace:
    """Let releases 2 and 3 begin to ramp, each in its pool."""
    workspace = ramping(folder, stages=0)
    register(workspace.aliases, "3")
    for n, pool in HALVES.items():
        row = Entry(Kind.CANARY, "ana", n, 1, "why", at=BEGAN, share=0.25, pool=str(pool))
        workspace.aliases.add(lambda *_, row=row: row)
    return workspace


def test_two_releases_ramp_at_once_in_disjoint_pools_and_each_is_decided_on_alone(tmp_path: Path) -> None:
    workspace = ramping_at_once(tmp_path)
    write_log(workspace, days=2, rates=Rates((0.1, 0.1, 0.25), (0.1,) * 3, HALVES))
    with pytest.raises(ContractError, match="Releases 2, 3 ramp at once"):
        ramp.run(workspace, as_of=after(2))
    with pytest.raises(ContractError, match=r"Release 1 does not ramp\. Releases that ramp: 2, 3"):
        ramp.run(workspace, as_of=after(2), release=1)
    assert aliases(workspace) == {"champion": 1, "canary": 2, "canary_2": 3}
    states = [ramp.run(workspace, as_of=after(2), release=n, run="daily").state for n in (2, 3)]
    assert states == ["advance", "roll_back"]
    assert ramp.ramping(workspace, run="daily") == [2, 3], "a run that is started again is about both"
    again = [ramp.run(workspace, as_of=after(2), release=n, run="daily").state for n in (2, 3)]
    assert (again, ramp.ramping(workspace, run="next")) == (states, [2])
    assert aliases(workspace) == {"champion": 1, "canary": 2}
    assert workspace.aliases.wrong_tags() == []
    assert [(row.kind, row.release, row.pool) for row in workspace.audit.entries()[-2:]] == [
        (Kind.CANARY, 2, "[1, 0.0, 0.5]"),
        (Kind.WITHDRAW, 3, None),
    ]


def test_pools_are_for_whoever_serves_and_a_changed_tag_is_found(tmp_path: Path) -> None:
    workspace = ramping_at_once(tmp_path)
    registry, part = workspace.store.registry, workspace.store.registry.part(workspace.aliases.model, 3)
    assert registry.tags(part)["canary_pool"] == "[2, 0.5, 1.0]"
    registry.set_tags(part, {"canary_pool": "[2, 0.0, 1.0]"})
    (problem,) = workspace.aliases.wrong_tags()
    assert "tag canary_pool" in problem
    served = [one.release for one in assign(workspace, [f"u{n}" for n in range(400)]).users]
    assert {n: served.count(n) for n in (1, 2, 3)} == {
        1: pytest.approx(300, abs=35),
        2: pytest.approx(50, abs=25),
        3: pytest.approx(50, abs=25),
    }


def test_a_release_that_is_served_outside_of_its_pool_asks_a_person(tmp_path: Path) -> None:
    workspace = ramping_at_once(tmp_path)
    rates = Rates((0.1,) * 3, (0.1,) * 3, {2: UserPool(), 3: HALVES[3]})
    write_log(workspace, days=2, rates=rates)
    result = ramp.run(workspace, as_of=after(2), release=2)
    assert (result.state, "users of other pools met the release" in result.reasons[0]) == ("ask", True)


def before(days: float) -> Callable[[pd.DataFrame], pd.Series]:
    return lambda rows: rows["shown_at"] < after(days).replace(tzinfo=None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda rows: rows[(rows.release == "1") | before(2)(rows)],
            "No impression of the treatment is logged",
        ),
        (lambda rows: rows[rows.release == "1"], "No impression of the treatment is logged since the ramp"),
        (
            lambda rows: rows[(rows.release == "2") | before(2)(rows)],
            "No impression of the control is logged",
        ),
        (lambda rows: rows.assign(release=rows.release.mask(~before(2)(rows), "1")), "got the champion"),
        (lambda rows: rows[(rows.release == "1") | (rows.user_id < "u5")], "are not the declared shares"),
    ],
)
def test_arms_that_cannot_be_compared_ask_a_person(
    tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], said: str
) -> None:
    workspace = ramping(tmp_path)
    write_log(workspace, days=4, change=change)
    result = ramp.run(workspace, as_of=after(4))
    assert result.state == "ask"
    assert said in " ".join(result.reasons)
    assert len(moves(workspace)) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.assign(release="9"), "not registered: 9. Registered: 1, 2"),
        (lambda rows: rows.assign(release="canary"), "not registered: canary"),
        (lambda rows: rows.drop(columns="release"), "no column 'release'"),
    ],
)
def test_a_log_that_does_not_name_the_releases_is_refused(
    tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], said: str
) -> None:
    workspace = ramping(tmp_path)
    write_log(workspace, days=2, change=change)
    with pytest.raises(DataError, match=said):
        ramp.run(workspace, as_of=after(2))


def test_a_person_answers_what_the_ramp_asks_and_nothing_else(tmp_path: Path) -> None:
    workspace = ramping(tmp_path)
    write_log(workspace, days=4, change=lambda rows: rows[rows.release == "1"])
    with pytest.raises(ContractError, match=r"'sam' is no reviewer of ramp_feed\. Reviewers: ana"):
        ramp.run(workspace, as_of=after(4), advance=Advance("sam", "the router is mended"))
    with pytest.raises(ContractError, match="needs a reason"):
        ramp.run(workspace, as_of=after(4), advance=Advance("ana", " "))
    ramp.run(workspace, as_of=after(4), advance=Advance("ana", "the router is mended"))
    row = workspace.audit.entries()[-1]
    assert (row.kind, row.share, row.by) == (Kind.CANARY, 0.5, "ana")
    assert row.why.startswith("the router is mended (")


def test_a_ramp_that_does_not_ask_takes_no_answer(tmp_path: Path) -> None:
    workspace = ramping(tmp_path)
    write_log(workspace, days=1)
    with pytest.raises(GateRefused, match="does not ask a person: its state is wait"):
        ramp.run(workspace, as_of=after(1), advance=Advance("ana", "in a hurry"))


def test_how_a_ramp_ended_is_a_state(tmp_path: Path) -> None:
    workspace = ramping(tmp_path, stages=0)
    assert ramp.run(workspace, as_of=after(1)).state == "none"
    workspace.aliases.add(lambda *_: Entry(Kind.CANARY, "ana", 2, 1, "likes rose", share=0.25))
    workspace.aliases.add(lambda *_: Entry(Kind.WITHDRAW, "ana", 2, 1, "hides rose"))
    ended = ramp.run(workspace, as_of=after(1))
    assert (ended.state, ended.reasons) == ("rolled_back", ["hides rose"])


def test_a_release_that_was_retired_in_mid_ramp_is_named(tmp_path: Path) -> None:
    workspace = ramping(tmp_path)
    workspace.store.registry.client.delete_model_version(workspace.aliases.model, "2")
    with pytest.raises(AuditMismatch, match="release 2"):
        ramp.run(workspace, as_of=after(2))


def test_a_surface_without_a_ramp_and_an_as_of_in_the_future_are_refused(tmp_path: Path) -> None:
    workspace = ramping(tmp_path)
    with pytest.raises(ContractError, match="lies in the future"):
        ramp.run(workspace, as_of=after(365_0))
    file = workspace.surfaces / ramp_feed.NAME / "surface.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text[: text.index("ramp:\n")], encoding="utf-8")
    with pytest.raises(ContractError, match="declares no ramp"):
        ramp.run(
            Workspace.open(ramp_feed.NAME, surfaces=workspace.surfaces, home=workspace.home), as_of=after(2)
        )


def test_a_log_without_an_impression_since_the_ramp_began_is_waited_for_and_then_asked_about(
    tmp_path: Path,
) -> None:
    workspace = ramping(tmp_path)
    write_log(workspace, days=4, change=lambda rows: rows.assign(shown_at=rows.shown_at - timedelta(days=20)))
    assert ramp.run(workspace, as_of=after(0.5)).state == "wait"
    assert ramp.run(workspace, as_of=after(2)).state == "ask"


def test_the_commands_of_the_page_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = ramping(tmp_path)
    write_log(workspace, days=2, rates=Rates(hides=(0.1, 0.2)))
    where = ["--surfaces", str(workspace.surfaces), "--home", str(workspace.home)]
    assert main(["assign", ramp_feed.NAME, "--user", "u-17", "--user", "u-18", *where]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "champion 1, release 2 for 0.25 of the users",
        "u-17  control  release 1",
        "u-18  control  release 1",
    ]
    step = ["ramp", ramp_feed.NAME, "--as-of", after(2).isoformat(), *where]
    assert main([*step, "--dry-run"]) == 1
    printed = capsys.readouterr().out
    assert "release 2, champion 1, stage 1 of 2, 0.25 of the users" in printed
    assert "roll back: hide_7d_rate is harmed" in printed
    assert main(step) == 1
    assert "updated: withdraw by equipoise ramp" in capsys.readouterr().out
    assert main(step) == 0, "the ramp has ended"
