"""Files: digests, and scratch that goes with its owner.

One body of a name at a time; what a killed process leaves is free (tests/labels/test_build.py).
"""

import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from tasks.errors import StoreError
from tasks.stores.files import hold, replaced, scratch, scratch_folder, sha256, tree_digest


def test_the_sha256_of_nothing_is_the_published_one() -> None:
    assert sha256(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_tree_is_digested_by_its_sorted_paths() -> None:
    assert tree_digest({"b": "2", "a/c": "1"}) == sha256(b"a/c 1\nb 2\n")
    assert tree_digest({"b": "2", "a": "1"}) == tree_digest({"a": "1", "b": "2"})


def test_a_renamed_file_is_another_tree() -> None:
    assert tree_digest({"a": "1"}) != tree_digest({"b": "1"})


HOLD = """
import sys, time
from pathlib import Path
from tasks.stores.files import scratch
with scratch(Path(sys.argv[1]), "duckdb-") as place:
    (place / "spilled").write_text("x")
    print(place, flush=True)
    time.sleep(600)
"""


def test_a_folder_goes_at_the_end_also_of_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), scratch(tmp_path, "duckdb-"):
        raise ValueError("no")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_uses_stays(tmp_path: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    used = Path(owner.stdout.readline().strip())
    with scratch(tmp_path, "duckdb-"):
        assert (used / "spilled").exists()
    owner.kill()
    owner.communicate()
    with scratch(tmp_path, "duckdb-") as place:
        assert list(tmp_path.iterdir()) == [place]


def test_what_has_no_owner_is_swept_after_a_day(tmp_path: Path) -> None:
    old, new = tmp_path / "duckdb-old", tmp_path / "duckdb-new"
    for folder in (old, new):
        folder.mkdir()
    os.utime(old, (0, 0))
    with scratch(tmp_path, "duckdb-"):
        assert (old.exists(), new.exists()) == (False, True)


REPLACE = """
import os, signal, sys
from pathlib import Path
from tasks.stores.files import replaced
with replaced(Path(sys.argv[1])) as part:
    part.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_writer_that_is_killed_leaves_the_file_and_the_next_one_of_the_folder_sweeps(
    tmp_path: Path,
) -> None:
    file, other = tmp_path / "r.html", tmp_path / "s.html"
    file.write_text("before")
    subprocess.run([sys.executable, "-c", REPLACE, str(file)], check=False)
    assert file.read_text() == "before"
    assert len(list(tmp_path.rglob("*"))) > 1
    with replaced(other) as part:
        part.write_text("whole")
    assert sorted(tmp_path.rglob("*")) == [file, other]
    assert other.read_text() == "whole"


@pytest.fixture
def read_only_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that may only be read, beside an empty folder for temporary files."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "tmp").mkdir()
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setattr(os, "access", lambda place, mode: home not in (place, *place.parents))
    return home


def test_the_scratch_of_who_may_only_read_is_a_folder_for_them_alone(read_only_home: Path) -> None:
    place = scratch_folder(read_only_home)
    assert place == read_only_home.parent / "tmp" / f"equipoise-{os.getuid()}"
    assert place.stat().st_mode & 0o777 == 0o700
    assert scratch_folder(read_only_home) == place


def test_a_folder_that_others_may_write_is_no_place_for_scratch(read_only_home: Path) -> None:
    scratch_folder(read_only_home).chmod(0o777)
    with pytest.raises(StoreError, match="is not this user's own"):
        scratch_folder(read_only_home)


def test_a_link_to_a_folder_is_no_place_for_scratch(read_only_home: Path) -> None:
    place = scratch_folder(read_only_home)
    place.rename(place.with_name("elsewhere"))
    place.symlink_to(place.with_name("elsewhere"))
    with pytest.raises(StoreError, match="is not this user's own"):
        scratch_folder(read_only_home)


HOLD_A_LOCK = """
import sys, time
from pathlib import Path
from tasks.stores.files import hold
with hold(Path(sys.argv[1], "feed.labels"), doing="building labels"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_body_waits_for_the_end_of_the_first_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "equipoise")
    noticed, happened = Event(), []

    def second() -> None:
        noticed.set()
        with hold(tmp_path / "feed.labels", doing="building labels"):
            happened.append("second")

    with ThreadPoolExecutor(1) as pool:
        with hold(tmp_path / "feed.labels", doing="building labels"):
            waiting = pool.submit(second)
            noticed.wait()
            while not caplog.messages:
                assert not waiting.done()
            happened.append("first")
        waiting.result()
    assert happened == ["first", "second"]
    (message,) = caplog.messages
    assert message.startswith("Another process is building labels: this one waits for its end (process ")


def test_another_name_does_not_wait(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        hold(tmp_path / "feed.labels", doing="building labels"),
        hold(tmp_path / "shop.labels", doing="building labels"),
    ):
        assert caplog.messages == []


def test_a_body_that_fails_lets_the_next_one_in(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), hold(tmp_path / "feed.labels", doing="building labels"):
        raise ValueError("no")
    with hold(tmp_path / "feed.labels", doing="building labels"):
        pass


def test_a_stopped_holder_is_named_and_not_waited_for_without_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "equipoise")
    monkeypatch.setattr("tasks.stores.files.PATIENCE", 0.2)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_A_LOCK, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGSTOP)
        with (
            pytest.raises(
                StoreError, match=rf"process {holder.pid} on .*, since 20.*kill -CONT {holder.pid}"
            ),
            hold(tmp_path / "feed.labels", doing="building labels"),
        ):
            pass
        assert f"process {holder.pid} on" in caplog.text
    finally:
        holder.kill()
        holder.communicate()
    with hold(tmp_path / "feed.labels", doing="building labels"):
        pass
