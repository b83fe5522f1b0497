import pytest


@pytest.mark.filterwarnings("ignore")  # what the provider's import warns of
def test_a_celery_worker_loads_the_libraries_before_it_forks(
    airflow_home: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("airflow.providers.celery", reason="it comes with the extra `production`")
    from celery.signals import worker_init

    from dags import celery_options

    loaded: list[str] = []
    monkeypatch.setattr(celery_options, "preload", lambda: loaded.append("libraries"))
    worker_init.send(sender="a worker")
    assert loaded == ["libraries"]
