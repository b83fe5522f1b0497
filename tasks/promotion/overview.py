"""Read the state of a surface from its stores; read-only.

::

    read_aliases  champion, challenger and previous in the registry; whether the audit log agrees with them
    read          the same, with each release's verdicts, the last audit rows and the label calendar
    dossier       the page of a release's newest gate run, as stored
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from tasks.contracts.gates import UserPool
from tasks.errors import ContractError, StoreError
from tasks.evaluation.evidence import ValidationEvidence
from tasks.evaluation.release_evidence import GateEvidence
from tasks.experiments.offline import MetricAgreement, Surrogate, compare_experiments, find_surrogates
from tasks.labels.build_record import DayStates, day_states
from tasks.labels.snapshot import Snapshot
from tasks.labels.store import LabelStore
from tasks.monitoring.alarms import AlarmReading
from tasks.monitoring.monitor import read_current
from tasks.promotion.provenance import DOSSIER, read_gates, recorded_verdict
from tasks.stores.aliases import CANARIES, CANARY_POOL, CHAMPION, release_name
from tasks.stores.audit import Entry, Kind
from tasks.stores.registry import Registry
from tasks.stores.releases import read_share
from tasks.stores.workspace import Workspace, parse_instant

_MOVES: Final = 10
_DAYS: Final = 35
REFUSALS: Final = (Kind.REJECT, Kind.TIME_OUT)
"""Kinds of audit rows for rejected and unanswered requests."""
Found = TypeVar("Found")


@dataclass(frozen=True)
class AliasedRelease:
    """A release that an alias points to; ``verdict`` is None before its gates have run.

    ``share`` is the share of the users of ``pool`` at a canary's current stage, and None for other aliases.
    """

    alias: str
    version: int
    made_at: datetime
    as_of: datetime | None
    verdict: str | None
    share: float | None = None
    pool: UserPool = UserPool()  # noqa: RUF009 - frozen


@dataclass(frozen=True)
class Aliases:
    """The releases with an alias, champion first; ``mismatch`` is empty if audit log and aliases agree."""

    surface: str
    releases: tuple[AliasedRelease, ...]
    mismatch: str


@dataclass(frozen=True)
class StoredCalendar:
    """The newest days by task; ``notes`` add caveats about the build."""

    snapshot: str
    as_of: datetime
    tasks: tuple[DayStates, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Overview:
    """The releases of a surface, with the evidence and the history shown for them.

    Attributes
    ----------
    evidence : newest gate evidence by version; releases without a gate run are absent.
    moves : last rows of the audit log, newest first.
    labels : None before the first build.
    problems : one sentence for each document that cannot be read.
    alarms : alarms on the monitor's series; None if the surface was never monitored.
    agreements, surrogates : agreement of finished experiments with replays and with proxies.
    """

    aliases: Aliases
    evidence: Mapping[int, GateEvidence]
    moves: tuple[Entry, ...]
    labels: StoredCalendar | None
    problems: tuple[str, ...]
    alarms: AlarmReading | None = None
    agreements: tuple[MetricAgreement, ...] = ()
    surrogates: tuple[Surrogate, ...] = ()


def read_aliases(workspace: Workspace) -> Aliases:
    """Read the releases of the aliases, and whether an alias was changed outside of equipoise."""
    registry, name = workspace.store.registry, release_name(workspace.surface)
    aliases = registry.aliases(name)
    mismatch = workspace.aliases.mismatch()
    releases, caveats = list[AliasedRelease](), [f"{mismatch}."] if mismatch else []
    for alias in sorted(aliases, key=lambda alias: (alias != CHAMPION, alias)):
        try:
            releases.append(_aliased(workspace, registry, alias, aliases[alias]))
        except (StoreError, ContractError) as error:
            caveats.append(f"{alias} means version {aliases[alias]}, which is no release of ours: {error}")
    return Aliases(workspace.surface, tuple(releases), " ".join(caveats))


def read(workspace: Workspace) -> Overview:
    """Read everything the overview shows; a document that cannot be read becomes a problem."""
    found = read_aliases(workspace)
    problems: list[str] = []

    def attempt(what: str, read: Callable[[], Found], lacking: Found) -> Found:
        try:
            return read()
        except (StoreError, ContractError) as error:
            problems.append(f"{what} cannot be read: {error}")
            return lacking

    versions = sorted({release.version for release in found.releases})
    judged = {
        version: attempt(f"The verdicts of release {version}", partial(read_gates, workspace, version), None)
        for version in versions
    }
    moves = attempt(
        "The audit", lambda: workspace.aliases.audit.entries()[-_MOVES:][::-1], tuple[Entry, ...]()
    )
    labels = attempt("The label calendar", lambda: _calendar(workspace), None)
    alarms = attempt("The series of the monitor", lambda: read_current(workspace), None)
    agreements, surrogates = attempt(
        "The read-outs of experiments",
        lambda: (tuple(compare_experiments(workspace)), tuple(find_surrogates(workspace))),
        (tuple[MetricAgreement, ...](), tuple[Surrogate, ...]()),
    )
    evidence = {version: one for version, one in judged.items() if one is not None}
    return Overview(found, evidence, moves, labels, tuple(problems), alarms, agreements, surrogates)


def describe_entry(entry: Entry) -> str:
    """Describe a row of the audit log in a phrase."""
    what = f"release {entry.release} for {entry.role}"
    if entry.moves:
        what = f"champion {entry.champion or 'none'} → {entry.release}"
    elif entry.sets_alias or entry.kind is Kind.RAMPED:
        share = f", {entry.served}" if entry.served else ""
        what = f"release {entry.release} compared with champion {entry.champion}{share}"
    elif entry.kind is Kind.EXPOSURE:
        what = f"boosts of groups, for release {entry.release}"
    elif entry.kind is Kind.PRUNE:
        what = f"newest release {entry.release}"
    return f"{entry.kind.value}: {what}" + (", by an override" if entry.override is not None else "")


def dossier(workspace: Workspace, *, release: int) -> str:
    """Return the page of a release's newest gate run."""
    part = workspace.store.registry.part(release_name(workspace.surface), release)
    run = workspace.store.runs.newest(workspace.surface, step="gate", release=part.version)
    if run is None:
        raise ContractError(f"{part} was not evaluated yet: it has no dossier")
    return workspace.store.runs.read_text(run, f"{DOSSIER}.html")


def _aliased(workspace: Workspace, registry: Registry, alias: str, version: int) -> AliasedRelease:
    part = registry.part(release_name(workspace.surface), version)
    recorded = registry.recorded_tags(part).get("as_of")
    as_of = None if recorded is None else parse_instant(recorded)
    verdict = recorded_verdict(workspace, version)
    tags = registry.tags(part) if alias in CANARIES else {}
    share, pool = read_share(tags), UserPool.of(tags.get(CANARY_POOL))
    return AliasedRelease(alias, version, registry.made_at(part), as_of, verdict, share, pool)


def _calendar(workspace: Workspace) -> StoredCalendar | None:
    store = LabelStore(workspace.store, workspace.surface)
    newest = store.last()
    if newest is None:
        return None
    published, contracts = store.last_published(), workspace.contracts
    notes = []
    if newest.contract_digest != contracts.digests["tasks"]:
        notes.append("They were built under another tasks.yaml: the next build rebuilds every day.")
    failures = _failures(workspace, newest, published)
    notes += [f"Validation failed. {failure}" for failure in failures]
    states = day_states(
        contracts.tasks,
        newest.build(),
        published.build() if published else None,
        newest_failed=bool(failures),
        last=_DAYS,
    )
    return StoredCalendar(newest.id, newest.as_of, tuple(states), tuple(notes))


def _failures(workspace: Workspace, newest: Snapshot, published: Snapshot | None) -> tuple[str, ...]:
    """Return the failures of the newest build's validation; empty if it passed or has not run."""
    store, snapshot = workspace.store, newest.id
    if published is not None and published.id == snapshot:
        return ()
    if store.client.get_experiment_by_name(workspace.surface) is None:
        return ()
    run = store.runs.newest(workspace.surface, step="validate", snapshot=snapshot)
    if run is None:
        return ()
    evidence = store.runs.read_evidence(run, ValidationEvidence)
    return () if evidence.success else evidence.failures
