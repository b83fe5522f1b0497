"""Retention: remove what the surface's ``keep`` does not cover.

::

    releases     stay: the newest ``keep.releases``, those with an alias, those in the audit log, arms of
                 experiments, those with a possibly open approval, those that a kept refit was tested with
    runs         stay: younger than ``keep.runs``; those that made a kept release or its components; those
                 about a kept release, its labels or evidence; the newest of each step; those of experiments
    models       are removed with their release, or with the run that made them; policies stay
    snapshots    stay: younger than ``keep.snapshots``; those pinned by kept releases, unless a release is
                 kept only because of the audit log
    pages        validation pages, one per build, stay while younger than ``keep.runs``

    audit row -> label files -> versions and logged models -> runs -> MLflow's deleted runs

Ages are counted from the last midnight in UTC. A run after an interruption continues, without a second row.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Final

from tasks.contracts import digest
from tasks.contracts.durations import format_duration
from tasks.contracts.surface import Keep
from tasks.errors import ContractError, StoreError
from tasks.evaluation.release_evidence import GateEvidence
from tasks.experiments.results import STEPS, released_arms
from tasks.labels.store import VacuumResult, vacuum
from tasks.release.view import ReleaseReader
from tasks.reports.numbers import format_counted
from tasks.stores.aliases import release_name
from tasks.stores.audit import Entry, Kind
from tasks.stores.manifest import Part, Role
from tasks.stores.releases import SNAPSHOT
from tasks.stores.removal import Inventory, empty_bin
from tasks.stores.runs import PARENT
from tasks.stores.workspace import Workspace

BY: Final = "prune"
"""The name in the audit row: the surface's ``keep`` decides, not the person who runs the command."""
_AUDITED: Final = "named by the audit"
_YOUNG: Final = timedelta(days=1)
"""A logged model without a version that is younger than this may still be in registration."""
_POLICIES: Final = frozenset({Role.UTILITY_POLICY.value, Role.SLATE_POLICY.value})


@dataclass(frozen=True)
class Removed:
    """The removed items of one kind: their number, their bytes, and when the oldest and newest were made."""

    kind: str
    count: int
    bytes: int
    oldest: datetime | None
    newest: datetime | None
    versions: tuple[int, ...] = ()


@dataclass(frozen=True)
class KeptItem:
    """The number of items of one kind that stay for one reason."""

    kind: str
    why: str
    count: int
    versions: tuple[int, ...] = ()


@dataclass(frozen=True)
class PruneResult:
    """Items that were or would be removed, and kept items; ``notes`` list manual steps that remain."""

    surface: str
    dry_run: bool
    removed: list[Removed]
    kept: list[KeptItem]
    notes: list[str]


def run(workspace: Workspace, *, dry_run: bool = False, now: datetime | None = None) -> PruneResult:
    """Remove what the surface's ``keep`` does not cover; promotions on this machine wait meanwhile.

    Parameters
    ----------
    dry_run : report what would be removed, without removing it.
    now : instant from which ages are counted; default: the current time.

    Raises
    ------
    ContractError
        surface.yaml declares no ``keep``.
    AuditMismatch
        Audit log, registry and aliases differ, so the serving release is uncertain.
    StoreError
        A kept release or the audit log cannot be read. Nothing was removed.
    """
    surface, keep = workspace.surface, workspace.contracts.surface.keep
    if keep == Keep():
        raise ContractError(
            f"surface.yaml of {surface} declares no keep, so nothing is removed. Declare it, as in "
            "`keep: {snapshots: P90D, releases: 20, runs: P180D}`"
        )
    instant = now or datetime.now(UTC)
    today = instant.replace(hour=0, minute=0, second=0, microsecond=0)
    with workspace.store.alone(f"{surface}.promotion", doing=f"pruning {surface}"):
        plan = _Plan.make(workspace, keep, today)
        swept = plan.sweep(dry_run=True)
        removed, kept = list(plan.removed(swept)), list(plan.stays())
        notes = []
        if not dry_run:
            if (swept is not None and swept.files) or plan.models or plan.runs:
                plan.record(removed)
            plan.sweep(dry_run=False)
            with workspace.store.registry.exclusive():
                plan.inventory.remove_models(plan.models)
                plan.inventory.remove_runs(plan.runs, now=instant)
            for page in plan.pages:
                page.unlink(missing_ok=True)
            left = "" if keep.runs is None else empty_bin(workspace.store, surface, now=instant)
            notes = [left] if left else []
    return PruneResult(surface, dry_run, removed, kept, notes)


@dataclass(frozen=True)
class _Plan:
    """The removal plan: what goes, and why each kept release and run stays."""

    workspace: Workspace
    keep: Keep
    today: datetime
    inventory: Inventory
    versions: tuple[Part, ...]

    @classmethod
    def make(cls, workspace: Workspace, keep: Keep, today: datetime) -> "_Plan":
        """Read the inventory, then the versions: what is registered meanwhile stays."""
        inventory = Inventory.read(workspace.store, workspace.surface)
        versions = workspace.store.registry.versions(release_name(workspace.surface))
        return cls(workspace, keep, today, inventory, versions)

    @cached_property
    def runs(self) -> tuple[str, ...]:
        """Return the runs to remove."""
        return tuple(run for run in self.inventory.runs if run not in self.kept_runs)

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Return the logged models of removed releases and runs, and those without a version."""
        return tuple(self._models())

    @cached_property
    def pages(self) -> dict[Path, os.stat_result]:
        """Return validation pages in ``reports/`` older than ``keep.runs``; they copy MLflow artifacts."""
        if self.keep.runs is None:
            return {}
        before = (self.today - self.keep.runs).timestamp()
        there = {page: page.stat() for page in self.workspace.reports.glob("validation-*.html")}
        return {page: stat for page, stat in there.items() if stat.st_mtime < before}

    def sweep(self, *, dry_run: bool) -> VacuumResult | None:
        """Remove label files; None if snapshots are kept forever."""
        if self.keep.snapshots is None:
            return None
        pinning = [version for version, why in self.releases.items() if why != _AUDITED]
        return vacuum(
            self.workspace, keep=self.keep.snapshots, dry_run=dry_run, now=self.today, releases=pinning
        )

    def record(self, removed: Iterable[Removed]) -> None:
        """Add an audit row unless the last prune kept the same items; without a release there is no row."""
        if not self.versions:
            return
        moves, going = self.workspace.aliases, {part.version for part in self.versions} - self.releases.keys()
        moves.settle(strict=True)
        what = [
            format_counted(one.count, one.kind.removesuffix("s"))
            + (f" ({', '.join(map(str, one.versions))})" if one.versions else "")
            for one in removed
            if one.count
        ]
        facts = {
            "keep": self.keep.model_dump(mode="json", exclude_none=True),
            "releases": sorted(self.releases),
            "as_of": None if self.keep.runs is self.keep.snapshots is None else self.today.isoformat(),
        }
        evidence, why = digest(facts), f"keep no longer covers {', '.join(what)}"

        def decide(entries: tuple[Entry, ...], aliases: Mapping[str, int]) -> Entry | None:
            if going & {*aliases.values(), *_named(entries)}:
                raise StoreError("An alias now points to a release due for removal. Run the step again")
            newest = next((entry for entry in reversed(entries) if entry.kind is Kind.PRUNE), None)
            if newest is not None and newest.evidence == evidence:
                return None
            champion = aliases.get("champion")
            return Entry(Kind.PRUNE, BY, self.versions[0].version, champion, why, evidence)

        moves.add(decide)

    def removed(self, swept: VacuumResult | None) -> Iterator[Removed]:
        """Yield the items to remove by kind; they still exist, so that their sizes can be measured."""
        inventory, model = self.inventory, release_name(self.workspace.surface)
        parts = {one: inventory.held[one] for one in self.models if one in inventory.held}
        releases = [one for one, part in parts.items() if part.name == model]
        others = [one for one in self.models if one not in releases]
        gone = tuple(sorted(parts[one].version for one in releases))
        for kind, names, made, size, versions in (
            ("releases", releases, inventory.made, inventory.size_of_model, gone),
            ("models", others, inventory.made, inventory.size_of_model, ()),
            ("runs", self.runs, inventory.began, inventory.size_of_run, ()),
        ):
            ages = [made(name) for name in names]
            total = sum(size(name) for name in names)
            yield Removed(kind, len(ages), total, min(ages, default=None), max(ages, default=None), versions)
        total = sum(one.st_size for one in self.pages.values())
        ages = [datetime.fromtimestamp(one.st_mtime, UTC) for one in self.pages.values()]
        yield Removed("pages", len(ages), total, min(ages, default=None), max(ages, default=None))
        if swept is not None:
            yield Removed("label files", swept.files, swept.bytes, swept.oldest, swept.newest)

    def stays(self) -> Iterator[KeptItem]:
        """Yield the kept items by kind and reason."""
        for why in dict.fromkeys(self.releases.values()):
            versions = tuple(sorted(one for one, reason in self.releases.items() if reason == why))
            yield KeptItem("releases", why, len(versions), versions)
        for why, count in Counter(self.kept_runs.values()).most_common():
            yield KeptItem("runs", why, count)

    @cached_property
    def reader(self) -> ReleaseReader:
        return ReleaseReader(self.workspace)

    @cached_property
    def releases(self) -> dict[int, str]:
        """Return the kept releases, each with the first reason that applies."""
        there = {part.version for part in self.versions}
        why = dict.fromkeys(self._newest(), f"newest {self.keep.releases}")
        if self.keep.releases is None:
            why = dict.fromkeys(self._newest(), "every release is kept")
        for version in self._evaluated_releases():
            why.setdefault(version, "an approval may be open")
        for version in released_arms(self.workspace):
            why.setdefault(version, "an arm of an experiment")
        aliases = self.workspace.store.registry.aliases(release_name(self.workspace.surface))
        for version in {*aliases.values()}:
            why[version] = ", ".join(sorted(alias for alias, one in aliases.items() if one == version))
        for version in _named(self.workspace.audit.entries()):
            why.setdefault(version, _AUDITED)
        for version in sorted(why.keys() & there):
            tested = self.reader.manifest(version).find(Role.TESTED)
            if tested is not None:
                why.setdefault(tested.version, "was tested for a kept refit")
        return {version: reason for version, reason in why.items() if version in there}

    @cached_property
    def kept_runs(self) -> dict[str, str]:
        """Return the kept runs, each with the first reason that applies."""
        runs, age = self.inventory.runs, self.keep.runs
        if age is None:
            return dict.fromkeys(runs, "every run is kept")
        young, why = f"younger than {format_duration(age)}", dict[str, str]()
        for run, reason in (
            *((run, young) for run in runs if self.inventory.began(run) >= self.today - age),
            *((run, "made a kept release, or what it pins") for run in self._makers()),
            *((run, "about a kept release or its labels") for run in self._about()),
            *((run, "of an experiment") for run in self._of_step(*STEPS)),
            *((run, "newest of its step") for run in self._newest_of_steps()),
        ):
            why.setdefault(run, reason)
        for run in [*why]:
            above = self._tag(run, PARENT) if run in runs else None
            while above is not None:
                why.setdefault(above, "above a kept run")
                above = self._tag(above, PARENT) if above in runs else None
        return {run: reason for run, reason in why.items() if run in runs}

    def _models(self) -> Iterator[str]:
        registry, held = self.workspace.store.registry, self.inventory.held
        model, runs = release_name(self.workspace.surface), set(self.runs)
        releases = {part.version for part in self.versions} - self.releases.keys()
        for model_id, part in held.items():
            if part.version in releases if part.name == model else registry.run_id(part) in runs:
                yield model_id
        for model_id in self.inventory.models.keys() - held.keys():
            if self.inventory.made(model_id) < self.today - _YOUNG:
                yield model_id

    def _newest(self) -> list[int]:
        count = len(self.versions) if self.keep.releases is None else self.keep.releases
        return [part.version for part in self.versions[:count]]

    def _evaluated_releases(self) -> Iterator[int]:
        """Yield the releases evaluated within the time that a reviewer has to answer."""
        since = self.today - self.workspace.contracts.surface.promotion.answer_within - _YOUNG
        for run in self._of_step("gate"):
            if self.inventory.began(run) >= since and (release := self._tag(run, "release")):
                yield int(release)

    def _makers(self) -> Iterator[str]:
        """Yield the runs that made kept releases, the components they pin, and every policy."""
        registry, of = self.workspace.store.registry, self.workspace.surface
        pinned = {(release_name(of), version) for version in self.releases}
        for version in self.releases:
            pinned |= {(part.name, part.version) for part in self.reader.manifest(version).parts}
        for part in self.inventory.held.values():
            policy = part.name.removeprefix(f"{of}.") in _POLICIES
            if policy or (part.name, part.version) in pinned:
                yield registry.run_id(part)

    def _about(self) -> Iterator[str]:
        """Yield the runs about a kept release or its labels, and the runs that its gates read."""
        registry, versions = self.workspace.store.registry, {str(version) for version in self.releases}
        tags = (registry.tags(part) for part in self.versions if part.version in self.releases)
        snapshots = {found for one in tags if (found := one.get(SNAPSHOT)) is not None}
        for run in self.inventory.runs:
            if self._tag(run, "release") in versions:
                yield run
                if self._tag(run, "step") == "gate":
                    with suppress(ContractError, StoreError):  # written by an earlier version
                        rests_on = self.workspace.store.runs.read_evidence(run, GateEvidence).runs
                        yield from vars(rests_on).values()
            elif self._tag(run, "snapshot") in snapshots:
                yield run

    def _newest_of_steps(self) -> Iterable[str]:
        newest: dict[tuple[str | None, ...], str] = {}
        for run in sorted(self.inventory.runs, key=self.inventory.began):
            if self.inventory.runs[run].info.status == "FINISHED":
                newest[self._tag(run, "step"), self._tag(run, "task")] = run
        return newest.values()

    def _of_step(self, *steps: str) -> list[str]:
        return [run for run in self.inventory.runs if self._tag(run, "step") in steps]

    def _tag(self, run: str, name: str) -> str | None:
        found: str | None = self.inventory.runs[run].data.tags.get(name)
        return found


def _named(entries: Iterable[Entry]) -> Iterator[int]:
    """Yield the releases that audit rows refer to; rows of a prune or a restart refer to none."""
    for entry in entries:
        if entry.kind not in {Kind.PRUNE, Kind.RESTART}:
            yield from (one for one in (entry.release, entry.champion) if one is not None)
