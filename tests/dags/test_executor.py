import pytest


@pytest.mark.parametrize(("forks", "expected"), [(True, ["preload", "start"]), (False, ["start"])])
def test_the_libraries_are_loaded_before_workers_are_forked(
    airflow_home: object, monkeypatch: pytest.MonkeyPatch, forks: bool, expected: list[str]
) -> None:
    from airflow.executors.local_executor import LocalExecutor

    from dags import executor

    done: list[str] = []
    monkeypatch.setattr(executor, "preload", lambda: done.append("preload"))
    monkeypatch.setattr(LocalExecutor, "start", lambda _: done.append("start"))
    one = executor.PreloadingLocalExecutor(parallelism=2)
    one.is_mp_using_fork = forks
    one.start()
    assert done == expected
