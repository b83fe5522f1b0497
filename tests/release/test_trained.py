import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tasks.cli import main
from tasks.contracts import Contracts
from tasks.errors import ContractError, DataError, ImmatureLabels
from tasks.pipeline import apply_policy
from tasks.release.parts import (
    ReusedChampion,
    Trained,
    champion_parts,
    keep_champion,
    read_result,
    refuse_no_policy_change,
    split_results,
)
from tasks.stores.manifest import Role
from tasks.stores.workspace import Workspace
from tests.feeds import mini
from tests.feeds.mini import NAME, Retrained
from tests.feeds.small_feed import AS_OF, write_contracts
from tests.stores.mlflow_home import new_home


def test_without_a_champion_the_error_is_what_the_retrain_ends_with(tmp_path: Path) -> None:
    write_contracts(tmp_path / "surfaces")
    workspace = Workspace.open(NAME, surfaces=tmp_path / "surfaces", home=new_home(tmp_path / "home"))
    error = ImmatureLabels("Task 'buy_2d' cannot be trained: it has 3 positives.")
    with pytest.raises(ImmatureLabels) as raised:
        keep_champion(workspace, task="buy_2d", as_of=AS_OF, error=error)
    assert raised.value is error


def test_trained_parts_are_told_from_tasks_that_keep_the_champions() -> None:
    made = Trained("click", 2, 3)
    assert split_results([made, ReusedChampion("buy", "3 positives")]) == ([made], {"buy": "3 positives"})
    assert split_results([]) == ([], {})


def test_where_all_would_be_kept_there_is_nothing_new() -> None:
    with pytest.raises(DataError, match=r"No task could be trained.* 3 positives\. No rows\."):
        split_results([ReusedChampion("buy", "3 positives."), ReusedChampion("back", "No rows.")])


@pytest.mark.parametrize("result", [Trained("click", 2, 3), ReusedChampion("buy", "3 positives")])
def test_a_result_comes_back_from_plain_json(result: Trained | ReusedChampion) -> None:
    assert read_result({**asdict(result), "run_id": "r1"}) == result


@pytest.fixture(scope="module")
def changed(second_retrain: Retrained, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A home of its own: release 1, under version 1 of the utility policy, is champion; version 2 is in force."""
    there = second_retrain.workspace
    home = Path(shutil.copytree(there.home, tmp_path_factory.mktemp("policy_change") / "home"))
    return Workspace.open(NAME, surfaces=there.surfaces, home=home)


def fitted(workspace: Workspace, version: int) -> dict[str, int]:
    """Return the versions of the models and calibrators that a release pins."""
    parts = workspace.releases.manifest(version).parts
    return {part.name: part.version for part in parts if part.role in {Role.TASK, Role.CALIBRATOR}}


def test_a_changed_policy_is_released_with_the_champions_models_and_nothing_is_trained(
    changed: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = mini.step_runs(changed, "train") + mini.step_runs(changed, "calibrate")
    where = ["--home", str(changed.home), "--surfaces", str(changed.surfaces)]
    code = main(["policy", "apply", NAME, "--json", *where])
    made: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert code == {"promote": 0, "hold": 1}[made["verdict"]]
    assert (made["reasons"] == []) == (code == 0)
    assert made["release"] not in {1, 2}
    assert fitted(changed, made["release"]) == fitted(changed, 1)
    ours, champion = (changed.releases.manifest(version) for version in (made["release"], 1))
    assert ours.part(Role.UTILITY_POLICY).version == 2
    assert ours.contracts == changed.contracts.digests
    assert (ours.as_of, ours.snapshot, ours.test) == (champion.as_of, champion.snapshot, champion.test)
    assert mini.step_runs(changed, "train") + mini.step_runs(changed, "calibrate") == trained
    assert {gate["gate"] for gate in made["gates"]} >= {"data", "model", "calibration", "decision", "shadow"}
    assert apply_policy(changed).release == made["release"], "the same change once more is the same release"


def test_where_the_policies_are_the_champions_there_is_nothing_to_apply(
    first_retrain: Retrained, second_retrain: Retrained
) -> None:
    there = Workspace.open(
        NAME, surfaces=first_retrain.workspace.surfaces, home=second_retrain.workspace.home
    )
    with pytest.raises(ContractError, match=r"are those of champion 1: there is no change to apply"):
        champion_parts(there)


def test_other_tasks_need_a_retrain(second_retrain: Retrained) -> None:
    contracts: Contracts = second_retrain.workspace.contracts
    before = dict(contracts.digests) | {"tasks": "of other tasks", "utility": "of another policy"}
    with pytest.raises(ContractError, match=r"tasks\.yaml is not that of champion 3.*a retrain is needed"):
        refuse_no_policy_change(before, contracts, champion=3)


def test_without_a_champion_there_are_no_models_to_use(first_retrain: Retrained, tmp_path: Path) -> None:
    empty = Workspace.open(NAME, surfaces=first_retrain.workspace.surfaces, home=tmp_path / "home")
    with pytest.raises(ContractError, match="has no champion whose models a changed policy could use"):
        champion_parts(empty)
