import os
import subprocess
import sys
from pathlib import Path

import pytest

from dags import preload
from tests.dags.conftest import REPOSITORY

FORKED = """
import multiprocessing, sys, threading
from datetime import datetime
from pathlib import Path
from dags.preload import preload


def step(folder):
    begun = set(sys.modules)
    import duckdb, numpy as np, pandas as pd
    from sklearn.isotonic import IsotonicRegression
    from deltalake import DeltaTable, write_deltalake
    import importlib_metadata, lightgbm as lgb
    from tasks.training.step import booster_files
    from tasks.stores.tracking import connect

    x = np.arange(4000.0)
    frame = pd.DataFrame({"x": x, "y": (x % 7 > 3).astype(float)})
    booster = lgb.train({"verbose": -1, "num_threads": 2}, lgb.Dataset(frame[["x"]], frame["y"]), 3)
    assert (np.ones((300, 300)) @ np.ones((300, 300)))[0, 0] == 300
    IsotonicRegression().fit(x, x)
    write_deltalake(folder / "table", frame)
    assert duckdb.sql("SELECT count(*) FROM frame").fetchall() == [(4000,)]
    assert len(DeltaTable(folder / "table").to_pandas()) == 4000
    connect(folder / "home").search_experiments()
    importlib_metadata.packages_distributions = lambda: sys.exit("a step lists the installed packages")
    booster_files(booster, datetime(2026, 1, 1))
    loaded = set(sys.modules) - begun
    assert loaded.isdisjoint({"lightgbm", "mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store"})
    assert {"tasks.training.step", "tasks.stores.tracking"} <= begun


preload()
assert threading.active_count() == 1
for name in ("one", "two"):
    worker = multiprocessing.get_context("fork").Process(target=step, args=(Path(sys.argv[1]) / name,))
    worker.start()
    worker.join(120)
    assert worker.exitcode == 0, name
print("done")
"""

CHANGED = """
import multiprocessing, sys
from pathlib import Path
from dags import preload

code = Path(sys.argv[1]) / "step.py"
code.write_text("")
preload._CODE = code.parent
preload.MODULES = ("tasks.columns",)
start = multiprocessing.get_context("fork")


def run(forked):
    process = start.Process(target=forked)
    process.start()
    process.join(120)
    assert process.exitcode == 0, forked.__name__


def change():
    code.with_name(f"{len([*code.parent.iterdir()])}.py").write_text("")


def worker():
    run(step_of_the_same_code)
    change()
    run(step_of_other_code)


def step_of_the_same_code():
    assert "tasks.columns" in sys.modules
    change()
    run(process_of_a_step)
    code.with_name("1.py").unlink()


def process_of_a_step():
    assert "tasks.columns" in sys.modules


def step_of_other_code():
    assert not [name for name in sys.modules if name.split(".")[0] == "tasks"]


preload.preload()
run(worker)
print("done")
"""


@pytest.mark.parametrize("script", [FORKED, CHANGED], ids=["learns, queries and keeps", "sees changed code"])
def test_a_step_that_is_forked_afterwards(script: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["done"]), done.stderr


def test_a_library_that_is_not_there_is_left_to_the_step_that_needs_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(preload, "MODULES", ("no_such_library", "json"))
    preload.preload()
    assert caplog.messages == ["no_such_library cannot be loaded ahead of the steps"]
