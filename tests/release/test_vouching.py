"""Where EQUIPOISE_REQUIRE_VERIFIED is set, MLflow loads what the audit vouches for, and nothing else."""

from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pytest

from tasks.release.loading import load_release
from tasks.stores.audit import Entry, Kind
from tasks.stores.store import Store
from tasks.stores.tracking import current, tracking_uri
from tests.feeds.toy_release import NAME, a_frame, register_toy
from tests.release.alone import run_alone
from tests.stores.mlflow_home import new_home

MODEL = f"{NAME}.release"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two releases; the first became champion by a move, and nobody moved an alias to the second."""
    made = new_home(tmp_path_factory.mktemp("vouching") / "home")
    first = register_toy(made)
    Store.open(made).aliases(NAME).add(lambda *_: Entry(Kind.PROMOTE, "ana", 1, None, "the first"))
    register_toy(made, weights={"click_30m": 2.0})
    Store.open(made).registry.set_alias(first, "champion")
    return made


@pytest.fixture(autouse=True)
def _required(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_REQUIRE_VERIFIED", "1")
    monkeypatch.setenv("EQUIPOISE_HOME", str(home))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def load(home: Path, ref: str) -> Any:
    with current(tracking_uri(home)):
        return mlflow.pyfunc.load_model(f"models:/{MODEL}{ref}")


def test_what_a_move_made_champion_is_loaded(home: Path) -> None:
    assert len(load(home, "@champion").predict(a_frame(2).assign(violates=False))) == 8


def test_a_release_that_no_move_made_champion_is_refused_whatever_its_alias(home: Path) -> None:
    registry = Store.open(home).registry
    with pytest.raises(Exception, match=r"not loaded \(EQUIPOISE_REQUIRE_VERIFIED\): No move of the audit"):
        load(home, "/2")
    registry.set_alias(registry.part(MODEL, 2), "champion")
    try:
        with pytest.raises(Exception, match="No move of the audit"):
            load(home, "@champion")
        assert load(home, "/1") is not None, "an alias moved by hand takes nothing from what served"
    finally:
        registry.set_alias(registry.part(MODEL, 1), "champion")


def test_an_audit_that_is_lost_vouches_for_nothing(home: Path) -> None:
    audit = home / "audit"
    kept = audit.rename(home / "kept")
    try:
        with pytest.raises(Exception, match=r"none of them is the row that MLflow names"):
            load(home, "@champion")
    finally:
        kept.rename(audit)


@pytest.mark.parametrize("value", ["yes", "true", " 1"])
def test_a_value_that_is_none_refuses_too(home: Path, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_REQUIRE_VERIFIED", value)
    with pytest.raises(Exception, match=r"The audit of toy cannot be read: .* neither 0 nor 1"):
        load(home, "@champion")


def test_where_the_program_is_not_installed_nobody_can_ask_and_it_is_refused(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Store.open(home).registry.fetch(Store.open(home).registry.part(MODEL, 1), tmp_path / "release")
    with pytest.raises(AssertionError, match=r"The audit cannot be read \(ImportError: this repository"):
        run_alone(folder, "print(model)", folder=tmp_path)
    monkeypatch.setenv("EQUIPOISE_REQUIRE_VERIFIED", "0")
    assert "PyFuncModel" in run_alone(folder, "print(type(model).__name__)", folder=tmp_path)


def test_a_replay_of_this_program_loads_what_was_never_champion(home: Path, tmp_path: Path) -> None:
    folder = Store.open(home).registry.fetch(Store.open(home).registry.part(MODEL, 2), tmp_path / "release")
    assert load_release(folder).manifest.surface == NAME
