"""One body of a name at a time; what a killed process leaves is free (tests/labels/test_builds_at_once.py)."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from tasks.stores.locks import alone


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
    assert caplog.messages == ["Another process is building labels: this one waits for its end"]


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
