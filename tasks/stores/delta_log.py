"""The newest commits in a Delta table's log: flushed to the disk, and set aside where they are torn."""

import json
import logging
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from tasks.stores.flush import flush_files, set_aside
from tasks.stores.location import Location

LOG: Final = "_delta_log"
COMMITS: Final = f"{'[0-9]' * 20}.json"
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


def flush_commit(path: Location, version: int) -> None:
    """Write a commit and the files that it brought through to the disk."""
    if not isinstance(path, Path):
        return
    commit = path / LOG / f"{version:020}.json"
    actions = [json.loads(line) for line in commit.read_bytes().splitlines()]
    added = [path / unquote(action["add"]["path"]) for action in actions if "add" in action]
    flush_files([*added, commit])
