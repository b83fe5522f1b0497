"""Brings a label snapshot back whose files are gone, torn or hold other rows than were built.

::

    the snapshot's days, each held against its digest
      -> files of damaged days are set aside: <file>.set-aside-<time>
      -> a build as of the snapshot's own instant writes those days anew
      -> the same rows: the snapshot's name means the new files from then on
"""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from tasks.errors import StoreError
from tasks.labels import build
from tasks.labels.store import LabelStore
from tasks.stores.delta import DataFile
from tasks.stores.flush import set_aside
from tasks.stores.locks import alone
from tasks.stores.workspace import Workspace


@dataclass(frozen=True)
class RepairResult:
    """What was found of a snapshot, and whether its rows can be read again.

    ``rebuilt`` is the snapshot that the log gives as of the same instant now. Where it is another one, rows
    of the log have gone or changed since, and only a backup brings the old one back.
    """

    snapshot: str
    damaged: list[str]
    set_aside: list[str]
    rebuilt: str
    restored: bool


def repair(workspace: Workspace, *, snapshot: str | None = None) -> RepairResult:
    """Bring a snapshot back, by default that of the newest build.

    Raises
    ------
    DataError
        There is no such snapshot, or the log cannot be read.
    StoreError
        A damaged file cannot be set aside.
    """
    store = LabelStore(workspace.home, workspace.surface)
    damaged = store.find(snapshot)
    with alone(
        workspace.home, f"{workspace.surface}.labels", doing=f"repairing labels of {workspace.surface}"
    ):
        days = damaged.damaged_days()
        aside = [str(_set_aside(file)) for day in sorted(days) for file in days[day]]
    rebuilt = build.run(workspace, as_of=damaged.as_of).snapshot if days else damaged.id
    return RepairResult(damaged.id, _sorted(days), aside, rebuilt, rebuilt == damaged.id)


def _set_aside(file: DataFile) -> Path:
    if not isinstance(file.path, Path):
        raise StoreError(
            f"The object {file.path} holds other rows than were built. Move it away, then try again"
        )
    return set_aside(file.path)


def _sorted(days: dict[date, list[DataFile]]) -> list[str]:
    return [str(day) for day in sorted(days)]
