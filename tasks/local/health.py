"""Bring the parts up and wait until each of them answers."""

import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version

from tasks.errors import StoreError
from tasks.local.environment import environment
from tasks.local.logins import ensure_passwords
from tasks.local.parts import commands, last_lines, log_of, records, start, stop
from tasks.local.rest import Airflow, answers
from tasks.local.settings import Settings

Say = Callable[[str], None]
_MAKE_STORE = (
    "import sys, pathlib; from tasks.stores.tracking import connect; connect(pathlib.Path(sys.argv[1]))"
)
_AIRFLOW_PARTS = {
    "metadatabase": "",
    "scheduler": "scheduler",
    "triggerer": "triggerer",
    "dag_processor": "dag-processor",
}


def bring_up(settings: Settings, say: Say, *, patience: float = 300.0) -> None:
    """Prepare the databases, start the parts and wait for them; stop them all where one fails.

    Raises
    ------
    StoreError
        A port is taken, a part ended or did not answer in time; it shows the end of that part's log.
    """
    settings.require_free_ports()
    ensure_passwords(settings.airflow)
    _prepare(settings, say)
    start(settings)
    try:
        _wait(settings, say, deadline=time.monotonic() + patience)
    except BaseException:
        stop(settings)
        raise


def running_settings(settings: Settings) -> Settings | None:
    """Return the settings that the living parts run with, None where they are not all alive."""
    known = records(settings)
    if {record.name for record in known if record.lives} != set(commands(settings)):
        return None
    return settings.at(known[0].airflow_port, known[0].mlflow_port)


def client(settings: Settings, user: str = "admin") -> Airflow:
    """Return a client of this machine's Airflow."""
    return Airflow(settings.airflow_url, user, ensure_passwords(settings.airflow)[user])


def not_ready(settings: Settings) -> list[str]:
    """Name the parts that do not answer yet."""
    missing = [] if answers(f"{settings.mlflow_url}/health") else ["mlflow"]
    try:
        health = client(settings).health()
    except StoreError:
        return [*missing, "api-server"]
    return missing + [part for part in _AIRFLOW_PARTS if (health.get(part) or {}).get("status") != "healthy"]


def require_living(settings: Settings) -> None:
    """Make sure that no part has ended by itself.

    Raises
    ------
    StoreError
        One has; it shows the end of its log.
    """
    if dead := [record.name for record in records(settings) if not record.lives]:
        logs = "\n".join(f"  {name}:\n{last_lines(log_of(settings, name))}" for name in dead)
        raise StoreError(f"These parts ended by themselves: {', '.join(dead)}\n{logs}")


def _prepare(settings: Settings, say: Say) -> None:
    """Bring both databases to the installed versions, side by side: each takes some seconds of imports."""
    stamp, versions = settings.airflow / "prepared", " ".join(map(version, ("apache-airflow", "mlflow")))
    if stamp.exists() and stamp.read_text(encoding="utf-8") == versions and _databases_exist(settings):
        return
    say("preparing the databases of Airflow and MLflow")
    surroundings = environment(settings)
    settings.logs_of_parts.mkdir(parents=True, exist_ok=True)
    wanted = {
        "airflow-db": (sys.executable, "-m", "airflow", "db", "migrate"),
        "mlflow-db": (sys.executable, "-c", _MAKE_STORE, str(settings.home)),
    }
    running = {}
    for name, command in wanted.items():
        with log_of(settings, name).open("wb") as log:
            running[name] = subprocess.Popen(
                command, cwd=settings.airflow, env=surroundings, stdout=log, stderr=subprocess.STDOUT
            )
    for name, process in running.items():
        if process.wait() != 0:
            raise StoreError(
                f"Preparing {name} failed. The end of its log:\n{last_lines(log_of(settings, name))}"
            )
    stamp.write_text(versions, encoding="utf-8")


def _databases_exist(settings: Settings) -> bool:
    return all((settings.home / file).exists() for file in ("airflow/airflow.db", "mlflow/mlflow.db"))


def _wait(settings: Settings, say: Say, *, deadline: float) -> None:
    said: list[str] = []
    while missing := not_ready(settings):
        require_living(settings)
        if time.monotonic() > deadline:
            raise StoreError(
                f"Not ready in time: {', '.join(missing)}. See the logs in {settings.logs_of_parts}"
            )
        if missing != said:
            say(f"waiting for {', '.join(missing)}")
            said = missing
        time.sleep(0.5)
    say(f"Airflow {settings.airflow_url} and MLflow {settings.mlflow_url} are ready")
