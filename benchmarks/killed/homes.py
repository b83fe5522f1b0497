"""The homes that commands are killed in, each made once, and the commands.

::

    logs        the log tables alone            first start, labels build, retrain
    released    the first release, judged       promote
    promoted    two releases that served        rollback
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tasks.datasets.world.generate import generate
from tasks.pipeline import retrain
from tasks.stores.audit import Entry, Kind
from tasks.stores.workspace import Workspace
from tests.feeds import mini

VERBS: Final = ("first start", "labels build", "retrain", "promote", "rollback")
_HOME_OF: Final = {"promote": "released", "rollback": "promoted"}


@dataclass(frozen=True)
class Homes:
    """The templates below a folder, made when they are first asked for."""

    folder: Path

    @property
    def surfaces(self) -> Path:
        """The contracts of the smallest feed: clicks and hides alone."""
        return self.folder / "small" / "surfaces"

    def prepare(self) -> None:
        """Write the log tables and the contracts."""
        logs = self.folder / "logs" / "logs" / mini.NAME
        generate(days=mini.DAYS, requests_per_day=mini.REQUESTS_PER_DAY, seed=mini.SEED, out=logs)
        whole = Workspace.open(
            mini.NAME, surfaces=mini.write_contracts(self.folder / "whole"), home=self.folder
        )
        mini.changed(
            whole,
            self.folder / "small",
            surface=mini.surface_of_two,
            tasks=mini.two_tasks,
            utility=mini.utility_of_two,
        )

    def copy(self, verb: str, into: Path) -> Path:
        """Return a home as a verb finds it; its MLflow database follows it there."""
        name = _HOME_OF.get(verb, "logs")
        if not (self.folder / name).exists():
            part = self.folder / f"{name}.part"
            shutil.rmtree(part, ignore_errors=True)
            _MAKERS[name](self, part)
            part.rename(self.folder / name)
        return Path(shutil.copytree(self.folder / name, into))

    def words(self, verb: str, home: Path) -> list[str]:
        """Return what is typed for a verb."""
        where = ["--surfaces", str(self.surfaces), "--home", str(home), "--json"]
        as_of = ["--as-of", mini.AS_OF.isoformat()]
        moved = ["--why", "the first", "--by", "ana"]
        return {
            "first start": ["release", "list", mini.NAME, *where],
            "labels build": ["labels", "build", mini.NAME, *as_of, *where],
            "retrain": ["retrain", mini.NAME, *as_of, *where],
            "promote": ["promote", mini.NAME, "1", *moved, *where],
            "rollback": ["rollback", mini.NAME, *moved, *where],
        }[verb]

    def open(self, home: Path) -> Workspace:
        """Return where a template is worked on."""
        return Workspace.open(mini.NAME, surfaces=self.surfaces, home=home)


def _release(homes: Homes, home: Path) -> None:
    retrain(homes.open(homes.copy("retrain", home)), as_of=mini.AS_OF)


def _promote_twice(homes: Homes, home: Path) -> None:
    workspace = homes.open(homes.copy("promote", home))
    mini.set_champion(workspace, 1)
    retrain(workspace, as_of=mini.LATER)
    moves = workspace.aliases
    second = Entry(Kind.PROMOTE, "ana", 2, 1, "the second champion", "of no evidence")
    moves.add(lambda entries, aliases: second if aliases.get("champion") == 1 else None)


_MAKERS = {"released": _release, "promoted": _promote_twice}
