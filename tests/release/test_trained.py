from pathlib import Path

import pytest

from tasks.errors import DataError, ImmatureLabels
from tasks.release.trained import KeptChampion, Trained, keep_champion, read_result, split_results
from tasks.stores.workspace import Workspace
from tests.feeds.small_feed import AS_OF, NAME, write_contracts
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
    assert split_results([made, KeptChampion("buy", "3 positives")]) == ([made], {"buy": "3 positives"})
    assert split_results([]) == ([], {})


def test_where_all_would_be_kept_there_is_nothing_new() -> None:
    with pytest.raises(DataError, match=r"No task could be trained.* 3 positives\. No rows\."):
        split_results([KeptChampion("buy", "3 positives."), KeptChampion("back", "No rows.")])


@pytest.mark.parametrize("result", [Trained("click", 2, 3), KeptChampion("buy", "3 positives")])
def test_a_result_comes_back_from_plain_json(result: Trained | KeptChampion) -> None:
    assert read_result({**result.to_json(), "run_id": "r1"}) == result
