import sqlite3
import sys
from contextlib import nullcontext
from unittest.mock import Mock

import pytest
from sqlalchemy.exc import OperationalError


def test_modules_are_loaded_before_the_scheduler_announces_itself(
    airflow_home: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    import airflow.__main__

    from dags import scheduler

    done: list[object] = []
    monkeypatch.setattr(sys, "argv", ["scheduler.py", "--skip-serve-logs"])
    monkeypatch.setattr(scheduler, "preload", lambda: done.append("preload"))
    monkeypatch.setattr(airflow.__main__, "main", lambda: done.append(sys.argv))
    scheduler.run()
    assert done == ["preload", ["airflow", "scheduler", "--skip-serve-logs"]]


@pytest.mark.parametrize("seconds", [59.0, 61.0], ids=["just_started", "running"])
def test_a_running_scheduler_whose_database_refuses_a_statement_is_started_again(
    airflow_home: object, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    import airflow.__main__

    from dags import scheduler

    locked = OperationalError("UPDATE job", {}, sqlite3.OperationalError("database is locked"))
    clock = iter([0.0, seconds])
    executed: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", ["scheduler.py", "--skip-serve-logs"])
    monkeypatch.setattr(scheduler, "preload", lambda: None)
    monkeypatch.setattr(scheduler, "time", Mock(monotonic=lambda: next(clock)))
    monkeypatch.setattr(scheduler, "os", Mock(execv=lambda _, command: executed.append(command)))
    monkeypatch.setattr(airflow.__main__, "main", Mock(side_effect=locked))
    with nullcontext() if seconds > 60 else pytest.raises(OperationalError):
        scheduler.run()
    again = [[sys.executable, "-m", "dags.scheduler", "--skip-serve-logs"]]
    assert executed == (again if seconds > 60 else [])
