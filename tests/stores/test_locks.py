"""One body of a name at a time; what a killed process leaves is free (tests/labels/test_build.py)."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from tasks.errors import StoreError
from tasks.stores.locks import alone

HOLD = """
import sys, time
from pathlib import Path
from tasks.stores.locks import alone
with alone(Path(sys.argv[1]), "feed.labels", doing="building labels"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_body_waits_for_the_end_of_the_first_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "equipoise")
    told, happened = Event(), []

    def second() -> None:
        told.set()
        with alone(tmp_path, "feed.labels", doing="building labels"):
            happened.append("second")

    with ThreadPoolExecutor(1) as pool:
        with alone(tmp_path, "feed.labels", doing="building labels"):
            waiting = pool.submit(second)
            told.wait()
            while not caplog.messages:
                assert not waiting.done()
            happened.append("first")
        waiting.result()
    assert happened == ["first", "second"]
    (message,) = caplog.messages
    assert message.startswith("Another process is building labels: this one waits for its end (process ")


def test_another_name_does_not_wait(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        alone(tmp_path, "feed.labels", doing="building labels"),
        alone(tmp_path, "shop.labels", doing="building labels"),
    ):
        assert caplog.messages == []


def test_a_body_that_fails_lets_the_next_one_in(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), alone(tmp_path, "feed.labels", doing="building labels"):
        raise ValueError("no")
    with alone(tmp_path, "feed.labels", doing="building labels"):
        pass


def test_a_stopped_holder_is_named_and_not_waited_for_without_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "equipoise")
    monkeypatch.setattr("tasks.stores.locks.PATIENCE", 0.2)
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGSTOP)
        with (
            pytest.raises(
                StoreError, match=rf"process {holder.pid} on .*, since 20.*kill -CONT {holder.pid}"
            ),
            alone(tmp_path, "feed.labels", doing="building labels"),
        ):
            pass
        assert f"process {holder.pid} on" in caplog.text
    finally:
        holder.kill()
        holder.communicate()
    with alone(tmp_path, "feed.labels", doing="building labels"):
        pass
