"""The workspace of a step: a surface, its contracts and its home."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from tasks.contracts import Contracts, load_surface, surface_names
from tasks.contracts.base import require_name
from tasks.contracts.surface import EngineName
from tasks.errors import ContractError, unknown
from tasks.settings import Settings
from tasks.stores.location import Location, locate, write_bytes
from tasks.stores.store import Store

if TYPE_CHECKING:
    from tasks.stores.aliases import ReleaseAliases
    from tasks.stores.audit import Audit
    from tasks.stores.releases import Releases


_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)


class SharedLog(Protocol):
    """The opened log of a surface, created by the package ``logs`` and passed to steps in a workspace."""

    def tables(self, workspace: "Workspace") -> AbstractContextManager[Any]:
        """Return the log tables for one step."""

    def close(self) -> None:
        """Close the log; the next step opens it again."""


@dataclass(frozen=True)
class Workspace:
    """A surface on this machine: its contracts in ``surfaces``, its state in ``store``."""

    surface: str
    surfaces: Path
    store: Store
    engine: EngineName | None = None
    """Engine for label SQL and simulations that replaces the surface's own engine."""
    shared_log: "SharedLog | None" = field(default=None, repr=False, compare=False)
    """The opened log that steps share (see `tasks.logs.session.share_log`)."""

    @classmethod
    def open(
        cls,
        surface: str,
        *,
        surfaces: Path | None = None,
        home: Path | None = None,
        engine: EngineName | None = None,
    ) -> "Workspace":
        """Open a surface; folders default to EQUIPOISE_SURFACES and EQUIPOISE_HOME."""
        return cls(
            surface=surface,
            surfaces=surfaces_folder(surfaces),
            store=Store.open(home),
            engine=engine,
        )

    @cached_property
    def contracts(self) -> Contracts:
        """The surface's contracts, loaded once."""
        contracts = load_surface(self.surfaces, self.surface)
        return contracts.run_by(self.engine) if self.engine else contracts

    def under(self, contracts: Contracts) -> "Workspace":
        """Return the workspace with other contracts than those in force."""
        return _OtherContracts(self.surface, self.surfaces, self.store, self.engine, declared=contracts)

    def sharing(self, log: "SharedLog") -> "Workspace":
        """Return the workspace with the same contracts, whose steps read an opened log."""
        return replace(self.under(self.contracts), shared_log=log)

    def require_surface(self) -> None:
        """Refuse an invalid name, and a surface with neither contracts nor reports of earlier runs."""
        reported = {folder.name for folder in self.reports.parent.glob("*/")}
        if self.surface not in reported and self.surface not in (known := surface_names(self.surfaces)):
            raise ContractError(unknown("surface", self.surface, known, where=str(self.surfaces)))
        require_name(self.surface)

    @property
    def logs(self) -> Location:
        """Root of relative sources: EQUIPOISE_LOGS, a folder or an object store's prefix."""
        chosen = locate(Settings().logs or str(self.home / "logs"))
        return chosen.absolute() if isinstance(chosen, Path) else chosen

    @property
    def home(self) -> Path:
        """The home folder."""
        return self.store.home

    @property
    def audit(self) -> "Audit":
        """The audit of this surface's releases."""
        return self.store.audit(self.surface)

    @property
    def aliases(self) -> "ReleaseAliases":
        """The aliases of this surface's releases."""
        return self.store.aliases(self.surface)

    @property
    def releases(self) -> "Releases":
        """The releases of this surface; each access creates a new instance without cached reads."""
        from tasks.stores.releases import Releases

        return Releases(self)

    @property
    def quarantine(self) -> Location:
        """The table of this surface's invalid rows."""
        return self.store.root / "quarantine" / self.surface

    @property
    def reports(self) -> Path:
        """The folder of this surface's reports."""
        return self.home / "reports" / self.surface


@dataclass(frozen=True)
class _OtherContracts(Workspace):
    """A workspace whose contracts differ from those of its folder."""

    declared: Contracts = field(kw_only=True, hash=False, repr=False)

    @cached_property
    def contracts(self) -> Contracts:
        return self.declared


def surfaces_folder(given: Path | None = None) -> Path:
    """Return the folder of contracts: the given one, else EQUIPOISE_SURFACES, else ``surfaces``."""
    return given.absolute() if given else Settings().surfaces


def parse_instant(text: str) -> datetime:
    """Parse an ISO 8601 instant in UTC.

    Raises
    ------
    ContractError
        Not ISO 8601, without a zone, or before 1970, the minimum of a log.

    Examples
    --------
    >>> parse_instant("2026-03-01T00:00:00Z").isoformat()
    '2026-03-01T00:00:00+00:00'
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ContractError(
            f"'{text}' is not an ISO 8601 instant. Write it as 2026-03-01T00:00:00Z"
        ) from None
    if instant.tzinfo is None:
        day = "T" not in text and " " not in text
        raise ContractError(f"'{text}' has no zone. Write it in UTC, as {text}{'T00:00:00' if day else ''}Z")
    try:
        in_utc = instant.astimezone(UTC)
    except OverflowError:
        in_utc = None
    if in_utc is None or in_utc < _EARLIEST:
        raise ContractError(
            f"'{text}' lies outside the years 1970 to 9999. Give an instant that the log has reached"
        )
    return in_utc


def refuse_future(as_of: datetime) -> None:
    """Refuse an as-of in the future, whose outcomes are still unknown.

    Raises
    ------
    ContractError
        The as-of lies in the future, or has no zone.
    """
    if as_of.tzinfo is None:
        raise ContractError(f"The as-of {as_of} has no zone: give it in UTC")
    now = datetime.now(UTC)
    if as_of > now:
        raise ContractError(
            f"The as-of {format_instant(as_of)} lies in the future: it is {format_instant(now)[:19]}Z now. "
            "Give an instant that has passed"
        )


def format_instant(instant: datetime) -> str:
    """Format an instant in UTC, as in 2026-03-01T00:00:00Z."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def write_report(workspace: Workspace, name: str, content: str) -> Path:
    """Write a surface's report atomically; return its path."""
    path = workspace.reports / name
    write_bytes(path, content.encode())
    return path
