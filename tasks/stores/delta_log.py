"""A Delta table's log: newest commits flushed to the disk; torn commits and spoilt checkpoints set aside."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from tasks.stores.flush import flush_files, set_aside
from tasks.stores.location import Location

LOG: Final = "_delta_log"
COMMITS: Final = f"{'[0-9]' * 20}.json"
_LAST: Final = "_last_checkpoint"
_CHECKPOINTS: Final = "*.checkpoint*.parquet"
_LOGGER: Final = logging.getLogger("equipoise")


def set_torn_commits_aside(path: Location) -> list[Path]:
    """Take the newest commits of a table that are empty or torn out of its log, and return where they lie.

    No commit is ever visible in part, so only a machine that lost its last writes leaves one. What it brought
    is gone with it: the table is that of the version before.
    """
    aside = []
    commits = sorted((path / LOG).glob(COMMITS), reverse=True) if isinstance(path, Path) else []
    for commit in commits:
        if not _is_torn(commit):
            break
        aside.append(set_aside(commit))
        _LOGGER.warning(
            "%s was torn: it is set aside as %s, what it held is made again", commit, aside[-1].name
        )
    return aside


def _is_torn(commit: Path) -> bool:
    try:
        return not [json.loads(line) for line in commit.read_bytes().splitlines()]
    except ValueError:
        return True


@dataclass
class Aside:
    """Files of a log under the names that they were given, each with its own."""

    files: dict[Path, Path] = field(default_factory=dict)
    kept: bool = False

    def keep(self) -> None:
        """Leave the files aside."""
        self.kept = True


@contextmanager
def checkpoints_aside(path: Location) -> Iterator[Aside]:
    """Set the checkpoints of a table aside; they come back at the end unless they are to be kept there.

    Commits are kept as long as checkpoints, so the table is whole without; the next hundredth commit makes a
    new one. Who may not write there, and an object store, which tears nothing, keep them in place.
    """
    aside = Aside()
    found = [path / LOG / _LAST, *sorted((path / LOG).glob(_CHECKPOINTS))] if isinstance(path, Path) else []
    try:
        try:
            for file in (file for file in found if file.is_file()):
                aside.files[set_aside(file)] = file
        except OSError as error:
            _LOGGER.debug("checkpoints of %s stay in place: %s", path, error)
        yield aside
    finally:
        for there, own in aside.files.items():
            if aside.kept:
                _LOGGER.warning("%s could not be read: it is set aside as %s", own, there.name)
            else:
                there.replace(own)


def flush_commit(path: Location, version: int) -> None:
    """Write a commit and the files that it brought through to the disk."""
    if not isinstance(path, Path):
        return
    commit = path / LOG / f"{version:020}.json"
    actions = [json.loads(line) for line in commit.read_bytes().splitlines()]
    added = [path / unquote(action["add"]["path"]) for action in actions if "add" in action]
    flush_files([*added, commit])
