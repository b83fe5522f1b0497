"""The readiness of the mini feed as it stands in real stores."""

from dataclasses import replace
from pathlib import Path

from tasks.promotion.readiness import standing
from tasks.promotion.readiness.facts import State
from tasks.promotion.readiness.standing import ReadinessResult
from tasks.stores import releases
from tasks.stores.registry import Registry
from tasks.stores.workspace import Workspace
from tests.feeds import mini
from tests.promotion.moves.moving import promote_2
from tests.stores.mlflow_home import new_home


def _states(result: ReadinessResult) -> dict[str, State]:
    return {line.name: line.state for line in result.lines}


def test_the_champion_is_read_and_each_line_names_where_from(workspace: Workspace) -> None:
    result = standing.run(workspace)
    states = _states(result)
    assert (result.release, result.champion, result.ready) == (1, True, False)
    assert states["composition versioned"] is State.NOT_MET  # utility.yaml has version 2 since
    met = ("tasks explicit", "windows defined", "maturity handled", "masks", "delayed outcomes no negatives")
    assert {states[name] for name in (*met, "loss weights versioned", "component view")} == {State.MET}
    assert all(line.sources for line in result.lines if line.state is State.MET)


def test_without_a_champion_the_newest_release_is_read(untouched: Workspace) -> None:
    result = standing.run(untouched)
    newest = max(one["version"] for one in releases.list_releases(untouched))
    assert (result.release, result.champion) == (newest, False)
    pinned, digests = releases.release_manifest(untouched, newest).contracts, untouched.contracts.digests
    in_force = all(pinned[kind] == digests[kind] for kind in ("utility", "slate"))
    assert _states(result)["composition versioned"] is (State.MET if in_force else State.NOT_MET)


def test_a_promotion_that_changed_the_policy_names_its_experiment(workspace: Workspace) -> None:
    promote_2(workspace)
    (line,) = [one for one in standing.run(workspace).lines if one.name.startswith("policy changes")]
    assert (line.state, line.why) == (State.MET, "feed-142 for release 2")


def test_before_any_release_nothing_is_made_up(workspace: Workspace, tmp_path: Path) -> None:
    result = standing.run(replace(workspace, home=new_home(tmp_path / "home")))
    assert (result.release, result.champion, result.ready) == (None, False, False)
    states = _states(result)
    assert states["guardrails defined"] is State.MET
    assert states["masks"] is State.NOT_MET


def test_a_rehearsal_whose_files_were_lost_is_missing_and_ends_no_run(workspace: Workspace) -> None:
    (run_id, *_) = mini.step_runs(workspace, "simulate", release=1)
    folder = Registry(workspace.home).client.get_run(run_id).info.artifact_uri
    file = Path(folder.removeprefix("file://")) / "evidence.json"
    kept = file.rename(file.with_suffix(".kept"))
    try:
        states = _states(standing.run(workspace))
    finally:
        kept.rename(file)
    assert states["component view"] is State.NOT_MET
    assert states["masks"] is State.MET
