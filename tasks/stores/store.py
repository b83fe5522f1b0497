"""The opened state of a home: registry, runs, audits, aliases, tables and locks.

::

    store = Store.open(home)          once per process; steps receive it as ``workspace.store``
    store.registry                    registered models, their versions and aliases      MLflow
    store.runs                        runs of steps and their evidence                   MLflow, evidence/
    store.audit(surface)              alias updates and approvals                        Delta table
    store.aliases(surface)            champion, previous and canary of a surface
    store.root / "labels" / surface   tables, below EQUIPOISE_STORE or the home          Delta tables
    store.alone(name, doing=...)      a lock between processes of this machine

MLflow is imported and connected on first use, so commands that only read tables start fast.
"""

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tasks.errors import ContractError, StoreError
from tasks.settings import Settings, parse_key
from tasks.stores.files import hold
from tasks.stores.location import Location, locate
from tasks.text_files import read_text

if TYPE_CHECKING:
    from tasks.stores.aliases import ReleaseAliases
    from tasks.stores.audit import Audit
    from tasks.stores.registry import Registry
    from tasks.stores.runs import Runs
    from tasks.stores.tracking import PatientClient

FORMAT: Final = 1
"""Version of the home's format; increased when older homes become unreadable."""
_READ_OTHERWISE = "%#?"


@dataclass(frozen=True)
class Store:
    """The state of a home; see the module's docstring. Two stores of one home are equal."""

    home: Path

    @classmethod
    def open(cls, home: Path | None = None) -> "Store":
        """Open the state in a folder: the given one, else EQUIPOISE_HOME, else ``.equipoise``."""
        opened = cls(home_folder(home))
        _refuse_other_format(opened.home)
        return opened

    @cached_property
    def root(self) -> Location:
        """Location of the tables: EQUIPOISE_STORE, else the home itself."""
        chosen = Settings().store
        return locate(chosen) if chosen else self.home

    @property
    def audit_key(self) -> bytes | None:
        """Key that signs audits: EQUIPOISE_AUDIT_KEY, else the home's own, which `make up` generates."""
        return Settings().audit_key or _read_key(audit_key_file(self.home))

    @cached_property
    def client(self) -> "PatientClient":
        """The MLflow client of the home's database, or of the server at MLFLOW_TRACKING_URI."""
        from tasks.stores.tracking import connect

        return connect(self.home)

    @cached_property
    def runs(self) -> "Runs":
        """The MLflow runs of steps, with their evidence."""
        from tasks.stores.database import artifacts_of
        from tasks.stores.runs import Records, Runs
        from tasks.stores.tracking import is_served

        own = None if is_served(self.client.tracking_uri) else artifacts_of(self.home)
        return Runs(self.client, Records(self.root), own)

    @cached_property
    def registry(self) -> "Registry":
        """The registered models."""
        from tasks.stores.registry import Registry

        return Registry(self.client, self.runs, self.home)

    def audit(self, surface: str) -> "Audit":
        """Return the audit of a surface's releases."""
        from tasks.stores.audit import Audit

        return Audit(self.root, surface)

    def aliases(self, surface: str) -> "ReleaseAliases":
        """Return the aliases of a surface's releases."""
        from tasks.stores.aliases import ReleaseAliases

        return ReleaseAliases(self.audit(surface), self.registry, self.audit_key)

    def alone(self, name: str, *, doing: str) -> AbstractContextManager[None]:
        """Keep other processes of this machine out of a section; see `files.hold`."""
        return hold(self.home / "locks" / name, doing=doing)


def home_folder(given: Path | None = None) -> Path:
    """Return the home folder: the given one, else EQUIPOISE_HOME, else ``.equipoise``.

    Raises
    ------
    ContractError
        It is not a folder, or its path contains a character that is special in URIs of databases and tables.
    """
    home = given.absolute() if given else Settings().home
    there = next((place for place in (home, *home.parents) if os.path.lexists(place)), home)
    if not there.is_dir():
        raise ContractError(
            f"{home} is no home: {there} is not a folder. Name another with --home or EQUIPOISE_HOME"
        )
    if found := [sign for sign in _READ_OTHERWISE if sign in str(home)]:
        raise ContractError(
            f"The path of the home {home} holds '{found[0]}', which addresses of databases and tables "
            "read as something else. Name another folder with --home or EQUIPOISE_HOME"
        )
    return home


def audit_key_file(home: Path) -> Path:
    """Return the file of a home's own key; backups omit its folder."""
    return home / "keys" / "audit"


def _read_key(file: Path) -> bytes | None:
    """Read a key that only its owner may read; None if the file is missing."""
    if not file.is_file():
        return None
    state = file.stat()
    if state.st_uid != os.getuid() or state.st_mode & 0o077:
        raise ContractError(f"Others may read or own the key {file}. Make it yours with chmod 600 and chown")
    return parse_key(str(file), read_text(file).strip())


def format_file(home: Path) -> Path:
    """Return the file with the version of a home's format."""
    return home / "mlflow" / "format"


def _refuse_other_format(home: Path) -> None:
    file = format_file(home)
    if os.path.lexists(file):
        found = read_text(file, error=StoreError).strip()[:20]
    else:
        found = "unknown" if (home / "mlflow" / "mlflow.db").exists() else str(FORMAT)
    if found != str(FORMAT):
        raise StoreError(
            f"The home {home} has format {found!r}, and this program reads format {FORMAT}. Use the program "
            "that made it, or name another home with --home or EQUIPOISE_HOME and retrain there"
        )
