"""A tested recipe is repeated on newer days and served, unless those days have taught it something else.

::

    sound      clicks and hides are trained, tested and refitted; the refit becomes champion
    poisoned   two days later clicks are trained anew, after a week in which somebody clicked on a third of
               what was shown; the champion lends the hides
"""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tasks.release import view as release_view
from tasks.release.parts import Trained, pins_of
from tasks.release.refit import Refit
from tasks.stores.manifest import Role
from tests.contracts.files import setting
from tests.feeds import mini
from tests.feeds.mini import AS_OF, LATER, NAME, Retrained
from tests.stores.local_path import local
from tests.stores.plain_evidence import read_plain
from tests.verdicts import segment_of, subject_of

pytestmark = pytest.mark.e2e

CLICK, HIDE = mini.TWO
BOUND = 0.5  # some hundred hides tell no less


def _refits(plain: dict[str, Any]) -> None:
    mini.surface_of_two(plain)
    plain["training"] = {"default": {"refit": True}}
    plain["gates"]["model"]["refit_shift_max"] = BOUND
    plain["base_rates"] = {}  # it is not validation that is to find the poison


def _click_on_a_third(logs: Path, *, since: Any) -> None:
    shown = pq.read_table(sorted((logs / "impressions").glob("*.parquet")))
    shown = shown.filter(pc.greater_equal(shown.column("shown_at"), pa.scalar(since)))
    drawn = shown.filter(pa.array(np.random.default_rng(0).random(len(shown)) < 0.33))
    at = pc.add(drawn.column("shown_at"), pa.scalar(timedelta(seconds=50)))
    like = pq.read_table(next((logs / "events").glob("*.parquet"))).schema
    columns = {"happened_at": at, "ingested_at": at, "event": pa.array(["click"] * len(drawn))}
    columns |= {name: drawn.column(name) for name in ("request_id", "user_id", "item_id")}
    nothing = {name: pa.nulls(len(drawn)) for name in like.names if name not in columns}
    table = pa.table({name: (columns | nothing)[name] for name in like.names}).cast(like)
    pq.write_table(table, logs / "events" / "poison.parquet")


@pytest.fixture(scope="module")
def sound(mini_world: Path, mini_surfaces: Path, tmp_path_factory: pytest.TempPathFactory) -> Retrained:
    folder = tmp_path_factory.mktemp("refit")
    home = mini.with_log(mini_surfaces, mini_world, folder)
    workspace = mini.changed(home, folder, surface=_refits, tasks=mini.two_tasks, utility=mini.utility_of_two)
    return Retrained.run(workspace, as_of=AS_OF)


@pytest.fixture(scope="module")
def repeated(sound: Retrained) -> Retrained:
    return Retrained.run(sound.workspace, as_of=AS_OF)


@pytest.fixture(scope="module")
def poisoned(repeated: Retrained, mini_world: Path) -> Retrained:
    workspace = repeated.workspace
    mini.set_champion(workspace, 2)
    log = local(workspace.logs / NAME)
    shutil.copytree(mini_world, log, dirs_exist_ok=True)
    _click_on_a_third(log, since=LATER - timedelta(days=6))
    return Retrained.run(workspace, as_of=LATER, tasks=[CLICK])


def shift_gates(retrained: Retrained) -> dict[str, dict[str, Any]]:
    return {
        segment_of(gate): gate
        for gate in retrained.result.gates
        if subject_of(gate) == f"{CLICK}.refit_shift"
    }


def test_a_refit_near_what_was_tested_is_promoted(sound: Retrained) -> None:
    gates = shift_gates(sound)
    assert {"all", "user_tenure=new"} <= set(gates)
    assert gates["all"]["outcome"] == "pass"
    assert 0 < gates["all"]["observed"]["value"] <= gates["all"]["observed"]["high"] < BOUND
    assert sound.result.verdict == "promote", sound.result.reasons


def test_a_poisoned_week_holds_it_and_says_why(poisoned: Retrained) -> None:
    gate = shift_gates(poisoned)["all"]
    assert gate["outcome"] == "block"
    assert gate["observed"]["low"] > BOUND
    assert poisoned.result.verdict == "hold"
    assert any(
        reason.startswith(f"model: shift of the refit, {CLICK} ") for reason in poisoned.result.reasons
    )


def test_two_releases_are_made_and_the_refitted_one_challenges(sound: Retrained) -> None:
    assert sound.result.release == 2
    assert sound.aliases == {"challenger": 2}
    assert sound.workspace.releases.tested_version(2) == 1
    assert sound.workspace.releases.tested_version(1) == 1
    tested = sound.workspace.releases.manifest(1)
    assert sound.workspace.releases.tested(2) == tested
    assert sound.workspace.releases.tested(1) == tested


def test_the_served_part_states_its_own_newest_row_and_the_others_are_those_that_were_tested(
    sound: Retrained,
) -> None:
    tested, served = (sound.workspace.releases.manifest(version) for version in (1, 2))
    before, after = (manifest.part(Role.TASK, CLICK) for manifest in (tested, served))
    assert before.trained_until() < after.trained_until() < tested.test[1]
    assert served.part(Role.CALIBRATOR, CLICK).trained_until() == (AS_OF - timedelta(days=2)).date()
    assert served.ages()[after.name] < tested.ages()[before.name]
    assert served.part(Role.TESTED).version == 1
    freshness = [g for g in sound.result.gates if subject_of(g) == f"{CLICK}.newest_training_row"]
    assert freshness[0]["observed"]["value"] == served.ages()[after.name] / timedelta(days=1)


def test_the_refit_repeats_the_recipe_on_all_users(sound: Retrained) -> None:
    registry = sound.workspace.store.registry
    tested, refit = (
        read_plain(registry.home, registry.run_id(registry.part(f"{NAME}.task.{CLICK}", version)))
        for version in (1, 2)
    )
    assert refit["rounds"] == tested["rounds"]
    assert refit["repeats"][0] == 1
    assert (tested["rows"]["held_out"] > 0, refit["rows"]["held_out"]) == (True, 0)
    assert refit["test"] is None, "its days of test are learned from"


def test_the_refit_gets_the_kind_of_map_that_was_tested(sound: Retrained) -> None:
    registry = sound.workspace.store.registry
    tested, refit = (
        read_plain(registry.home, registry.run_id(registry.part(f"{NAME}.calibrator.{CLICK}", version)))
        for version in (1, 2)
    )
    assert refit["choice"]["kind"] == tested["choice"]["kind"]
    assert "as in the model that was tested" in refit["choice"]["reason"]
    assert refit["slices"]["calibrate"][1] > tested["slices"]["calibrate"][1]


def test_the_figures_are_those_of_what_was_tested(sound: Retrained) -> None:
    registry = sound.workspace.store.registry
    first, second = (
        read_plain(registry.home, registry.run_id(registry.part(f"{NAME}.release", version)))
        for version in (1, 2)
    )
    assert [task["figures"] for task in first["tasks"]] == [task["figures"] for task in second["tasks"]]
    assert first["refit"] is None
    assert second["refit"]["tested"] == 1


def test_every_byte_and_pin_of_both_is_as_registered(sound: Retrained) -> None:
    assert release_view.verify(sound.workspace, 1).problems == []
    assert release_view.verify(sound.workspace, 2).problems == []


def test_the_same_inputs_again_register_nothing(sound: Retrained, repeated: Retrained) -> None:
    assert repeated == sound


def test_a_recipe_that_cannot_be_repeated_leaves_what_was_tested_and_says_why(
    sound: Retrained, tmp_path: Path
) -> None:
    workspace = mini.changed(sound.workspace, tmp_path, surface=setting("minimum.positives", 10**6))
    manifest = workspace.releases.manifest(1)
    tested = pins_of(manifest, (CLICK, HIDE))
    refit = Refit(workspace, AS_OF, manifest.snapshot.id, parent_run=None)
    served, unrepeated = refit.served(tested, [Trained(CLICK, 1, 1), Trained(HIDE, 1, 1)])
    assert served == tested
    assert set(unrepeated) == {CLICK, HIDE}
    assert "1000000 are needed" in unrepeated[CLICK]


def test_a_refitted_champion_lends_what_was_tested_and_what_it_serves(poisoned: Retrained) -> None:
    assert poisoned.result.release == 4
    assert poisoned.workspace.releases.tested_version(4) == 3
    tested, served = (poisoned.workspace.releases.manifest(version).pins for version in (3, 4))
    assert (tested[f"{NAME}.task.{HIDE}"], served[f"{NAME}.task.{HIDE}"]) == (1, 2)
    assert (tested[f"{NAME}.task.{CLICK}"], served[f"{NAME}.task.{CLICK}"]) == (3, 4)


def test_it_is_replayed_against_what_was_tested_of_the_champion(poisoned: Retrained) -> None:
    evidence = mini.first_evidence(poisoned.workspace, "simulate", release=4)
    assert (evidence["release"], evidence["champion"]) == (4, 2)
    assert "Release 3 is replayed instead" in evidence["notes"][0]
