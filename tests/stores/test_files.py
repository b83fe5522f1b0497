"""Files: digests, and scratch that goes with its owner."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tasks.errors import StoreError
from tasks.stores.files import replaced, scratch, scratch_folder, sha256, tree_digest


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
