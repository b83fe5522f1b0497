import sys

import pytest


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
