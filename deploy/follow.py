"""Follow a run: a line for each step that ends, and one that lives and says what runs now.

::

    [ 4/17] models.train (purchase_7d)   success      9 s
    [ 5/17] running models.train (trip_28d), 3 queued   1 min 42 s so far
"""

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TextIO

from deploy.airflow_api import Airflow
from tasks.errors import StoreError

Instance = Mapping[str, Any]
_ENDED = {"success", "failed", "upstream_failed", "skipped", "removed"}
_DOING = {"running": "running", "up_for_retry": "failed, to be tried again:", "deferred": "waiting in"}
_FRAMES = ("::group::", "::endgroup::")  # how the UI folds a log
_STILL_THERE = 20.0  # seconds after which a log without a living line repeats that the same still runs
_ANOTHER = 3.0  # and that something else does
_LOOKS = 6


class Lines:
    """Prints lines for good, and one that is rewritten where the output is a terminal."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._rewrites = self._out.isatty()
        self._said = ""
        self._said_at = 0.0

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self._clear()
        print(line, file=self._out, flush=True)

    def live(self, line: str, *, what: str) -> None:
        """Show the living line; without a terminal print it when `what` changes and from time to time."""
        if self._rewrites:
            self._clear()
            print(line[:118], end="", file=self._out, flush=True)
            return
        pause = _STILL_THERE if what == self._said else _ANOTHER
        if time.monotonic() - self._said_at > pause:
            print(line, file=self._out, flush=True)
            self._said, self._said_at = what, time.monotonic()

    def _clear(self) -> None:
        if self._rewrites:
            print("\r\033[K", end="", file=self._out)


def follow(
    airflow: Airflow,
    dag: str,
    run: str,
    lines: Lines,
    *,
    watch: Callable[[], None] = lambda: None,
    pause: float = 1.0,
) -> bool:
    """Print a run's progress until it ends; return whether it succeeded.

    Parameters
    ----------
    watch : raises where the parts that work on the run are gone, so that nobody waits for ever.
    pause : seconds between two looks.
    """
    began, printed = time.monotonic(), set[tuple[str, int]]()
    while True:
        state, instances = _look(airflow, dag, run)
        done = [instance for instance in instances if instance["state"] in _ENDED]
        for count, instance in enumerate(_in_order(done), start=1):
            if (key := (instance["task_id"], instance["map_index"])) not in printed:
                printed.add(key)
                lines.say(f"[{count:>2}/{len(instances)}] {_ended_line(instance)}")
        if state in {"success", "failed"}:
            return state == "success"
        now = _now(instances)
        elapsed = spell(time.monotonic() - began)
        lines.live(f"[{len(done):>2}/{len(instances)}] {now}   {elapsed} so far", what=now)
        watch()
        time.sleep(pause)


def failed_logs(airflow: Airflow, dag: str, run: str, *, count: int = 25) -> Iterable[str]:
    """Yield the last log lines of every step that failed by itself, the first to fail first."""
    for instance in _in_order(airflow.instances(dag, run)):
        if instance["state"] == "failed":
            yield f"\n{name_of(instance)} failed. The end of its log:"
            log = [line for line in airflow.log(dag, run, instance) if not line.startswith(_FRAMES)]
            yield from (f"    {line}" for line in log[-count:])


def name_of(instance: Instance) -> str:
    """Name a step instance as people do.

    Examples
    --------
    >>> name_of({"task_id": "models.train", "map_index": 0, "rendered_map_index": "click_30m"})
    'models.train (click_30m)'
    """
    if instance["map_index"] < 0:
        return str(instance["task_id"])
    return f"{instance['task_id']} ({instance.get('rendered_map_index') or instance['map_index']})"


def spell(seconds: float) -> str:
    """Write a time as people do.

    Examples
    --------
    >>> spell(9.4), spell(102)
    ('9 s', '1 min 42 s')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _look(airflow: Airflow, dag: str, run: str) -> tuple[str, list[dict[str, Any]]]:
    """Return a run's state and instances; a busy machine may fail to answer a few times."""
    for attempt in range(_LOOKS):
        try:
            return str(airflow.run(dag, run)["state"]), airflow.instances(dag, run)
        except StoreError:
            if attempt == _LOOKS - 1:
                raise
            time.sleep(attempt)
    raise AssertionError("unreachable")


def _now(instances: Iterable[Instance]) -> str:
    """Say what runs, what failed and will be tried again, and how many wait for a worker."""
    names: dict[str, list[str]] = {state: [] for state in (*_DOING, "queued")}
    for instance in instances:
        names.get(instance["state"], []).append(name_of(instance))
    active = [f"{words} {', '.join(names[state])}" for state, words in _DOING.items() if names[state]]
    queued = [f"{len(names['queued'])} queued"] if names["queued"] else []
    return ", ".join(active + queued) or "waiting for the scheduler"


def _in_order(instances: Iterable[Instance]) -> list[Instance]:
    return sorted(instances, key=lambda instance: str(instance.get("end_date") or ""))


def _ended_line(instance: Instance) -> str:
    took = "" if instance.get("duration") is None else spell(instance["duration"])
    return f"{name_of(instance):<40} {instance['state']:<16} {took}"
