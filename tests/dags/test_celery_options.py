import pytest

from dags.preload import LIBRARIES


@pytest.mark.filterwarnings("ignore")  # what the provider's import warns of
def test_a_celery_worker_loads_the_libraries_and_keeps_airflows_settings(airflow_home: object) -> None:
    pytest.importorskip("airflow.providers.celery", reason="it comes with the extra `production`")
    from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG
    from celery import Celery  # type: ignore[import-untyped]

    from dags.celery_options import OPTIONS

    app = Celery("equipoise", config_source=OPTIONS)
    assert tuple(app.conf.imports) == LIBRARIES
    assert {name: value for name, value in OPTIONS.items() if name != "imports"} == DEFAULT_CELERY_CONFIG
