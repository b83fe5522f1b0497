from pathlib import Path

import pytest

from tasks.errors import DataError, ImmatureLabels
from tasks.release.parts import TrainedPart
from tasks.release.unchanged_parts import divided, keep
from tasks.stores.workspace import Workspace
from tests.feeds.small_feed import AS_OF, NAME, write_contracts
from tests.stores.mlflow_home import new_home


def test_without_a_champion_the_error_is_what_the_retrain_ends_with(tmp_path: Path) -> None:
    write_contracts(tmp_path / "surfaces")
    workspace = Workspace.open(NAME, surfaces=tmp_path / "surfaces", home=new_home(tmp_path / "home"))
    error = ImmatureLabels("Task 'buy_2d' cannot be trained: it has 3 positives.")
    with pytest.raises(ImmatureLabels) as raised:
        keep(workspace, task="buy_2d", as_of=AS_OF, error=error)
    assert raised.value is error


def test_trained_parts_are_told_from_tasks_that_keep_the_champions() -> None:
    made = {"task": "click", "model_version": 2, "calibrator_version": 3}
    assert divided([made, {"task": "buy", "why": "3 positives"}]) == (
        [TrainedPart("click", 2, 3)],
        {"buy": "3 positives"},
    )
    assert divided([]) == ([], {})


def test_where_all_would_be_kept_there_is_nothing_new() -> None:
    with pytest.raises(DataError, match=r"No task could be trained.* 3 positives\. No rows\."):
        divided([{"task": "buy", "why": "3 positives."}, {"task": "back", "why": "No rows."}])
