"""The ramp step: move a release through its stages, or roll it back, based on logged outcomes.

::

    advance      the canary gets the share of the next stage        a row `canary`
    finish       the last stage passed, promotion is possible       a row `ramped`
    roll back    the canary ends, the champion serves all again     a row `withdraw`
    wait, ask    no update; a person answers `ask` with an advance and a reason, or with a rollback

Each audit row stores the figures of its decision. If the step is killed and run again, each update is made
once. Releases that ramp at the same time, in disjoint pools of users, are decided separately.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final

from tasks.contracts import digest
from tasks.contracts.gates import Ramp, UserPool
from tasks.errors import ContractError, GateRefused
from tasks.experiments.ramp import GuardrailReading, RampDecision, RampState, read_ramp
from tasks.stores.aliases import CHAMPION
from tasks.stores.audit import Entry, Kind, LiveRamp, last_alias_move, live_ramps
from tasks.stores.workspace import Workspace, format_instant, refuse_future

BY: Final = "equipoise ramp"
"""Name of the actor for updates by the rule."""
_DONE: Final[Mapping[Kind, RampState]] = {
    Kind.CANARY: RampState.ADVANCE,
    Kind.RAMPED: RampState.FINISH,
    Kind.WITHDRAW: RampState.ROLL_BACK,
}
"""The decision of a run that is started again, by the kind of its audit row."""


@dataclass(frozen=True)
class RampResult:
    """The state of a ramp, and its update.

    Parameters
    ----------
    state : the decision, or how the last ramp ended.
    release : release in the ramp, or of the last ramp.
    stage, of : number of the stage, from 1, and number of stages; None without a ramp.
    pool : pool of the users whose share the release serves.
    moved : the audit row, or None without an update.
    """

    surface: str
    as_of: str
    state: RampState
    release: int | None
    champion: int | None
    stage: int | None
    of: int
    share: float | None
    pool: UserPool
    since: str | None
    reasons: list[str]
    guardrails: list[GuardrailReading]
    notes: list[str]
    moved: dict[str, Any] | None = None


@dataclass(frozen=True)
class Advance:
    """A person's answer to a ramp that asks: their name and their reason to advance."""

    by: str
    why: str


def ramping(workspace: Workspace, *, run: str) -> list[int]:
    """Return the releases in a ramp, and those that an Airflow run moved, since it may be started again."""
    entries = workspace.aliases.audit.entries()
    moved = {entry.release for entry in entries if run and entry.run == run and entry.kind in _DONE}
    return sorted(moved | live_ramps(entries).keys())


def run(
    workspace: Workspace,
    *,
    as_of: datetime,
    release: int | None = None,
    run: str = "",
    advance: Advance | None = None,
    dry_run: bool = False,
) -> RampResult:
    """Decide on a release in a ramp, and update its aliases.

    Parameters
    ----------
    release : default: the release in a ramp; required if there are several.
    run : the Airflow run, which updates a release's aliases at most once.
    advance : answer to a ramp that asks a person.
    dry_run : report the decision without an update.
    """
    ramp = workspace.contracts.surface.ramp
    if ramp is None:
        raise ContractError("surface.yaml declares no ramp (ramp: {guardrails: [hide_7d_rate]})")
    refuse_future(as_of)
    if advance is not None:
        _refuse_others(workspace, advance)
    surface, moves = workspace.surface, workspace.aliases
    with workspace.store.alone(f"{surface}.promotion", doing=f"moving a release of {surface}"):
        moves.settle(strict=True)
        entries = moves.audit.entries()
        of_run = [e for e in entries if run and e.run == run and release in {None, e.release}]
        if done := next((e for e in of_run if e.kind in _DONE), None):
            return _result(workspace, ramp, done, RampDecision(_DONE[done.kind], (done.why,)), as_of, done)
        live = _choose(live_ramps(entries), release)
        if live is None or live.ramped:
            row = last_alias_move(entries) if live is None else live.newest
            return _result(workspace, ramp, row, _ended(entries, live), as_of)
        decision = read_ramp(workspace, ramp, live, as_of=as_of)
        if advance is not None:
            decision = _answered(decision, ramp, live.newest)
        entry = None if dry_run else _entry(ramp, live.newest, decision, advance, run)
        moved = None
        if entry is not None:
            same = live.newest.release
            moved = moves.add(lambda now, _: entry if live_ramps(now).get(same) == live else None)
            moves.settle()
        return _result(workspace, ramp, live.newest, decision, as_of, moved)


def _choose(live: Mapping[int, LiveRamp], release: int | None) -> LiveRamp | None:
    """Return the requested ramp, or None if none is live."""
    ramps = ", ".join(map(str, live)) or "none"
    if release is None and len(live) > 1:
        raise ContractError(f"Releases {ramps} ramp at once. Name one with --release")
    if release is not None and live and release not in live:
        raise ContractError(f"Release {release} does not ramp. Releases that ramp: {ramps}")
    return next((one for one in live.values() if release in {None, one.newest.release}), None)


def _answered(decision: RampDecision, ramp: Ramp, newest: Entry) -> RampDecision:
    """Return the decision after a person's answer to a ramp that asks."""
    if decision.state is not RampState.ASK:
        raise GateRefused(
            f"The ramp of release {newest.release} does not ask a person: its state is {decision.state} "
            f"({'; '.join(decision.reasons)}). Leave --advance out"
        )
    last = ramp.stage_at(newest.share or 0.0) == len(ramp.stages) - 1
    return replace(decision, state=RampState.FINISH if last else RampState.ADVANCE)


def _entry(
    ramp: Ramp, newest: Entry, decision: RampDecision, advance: Advance | None, run: str
) -> Entry | None:
    """Return the audit row of a decision, or None without an update."""
    kind = next((kind for kind, state in _DONE.items() if state is decision.state), None)
    if kind is None:
        return None
    figures = "; ".join([*decision.reasons, *map(str, decision.guardrails), *decision.notes])
    why = figures if advance is None else f"{advance.why} ({figures})"
    stage = ramp.stage_at(newest.share or 0.0)
    return Entry(
        kind,
        BY if advance is None else advance.by,
        newest.release,
        newest.champion,
        why,
        digest({"guardrails": [asdict(one) for one in decision.guardrails], "reasons": decision.reasons}),
        run=run,
        sha256=newest.sha256,
        share=ramp.stages[stage + 1].share if kind is Kind.CANARY else None,
        pool=newest.pool if kind is Kind.CANARY else None,
        override=newest.override if kind is Kind.CANARY else None,
    )


def _ended(entries: tuple[Entry, ...], live: LiveRamp | None) -> RampDecision:
    """Return how the newest ramp ended."""
    if live is not None:
        promote = f"release {live.newest.release} ended its ramp. Promote it with --stage champion"
        return RampDecision(RampState.RAMPED, (promote,))
    row = last_alias_move(entries)
    if row is None or all(entry.kind is not Kind.CANARY for entry in entries):
        return RampDecision(RampState.NONE, ("no release ramps",))
    state = RampState.PROMOTED if row.kind is Kind.PROMOTE else RampState.ROLLED_BACK
    return RampDecision(state, (row.why,))


def _result(
    workspace: Workspace,
    ramp: Ramp,
    row: Entry | None,
    decision: RampDecision,
    as_of: datetime,
    moved: Entry | None = None,
) -> RampResult:
    share = None if row is None else row.share
    return RampResult(
        workspace.surface,
        format_instant(as_of),
        decision.state,
        None if row is None or decision.state is RampState.NONE else row.release,
        workspace.store.registry.aliases(workspace.aliases.model).get(CHAMPION),
        None if share is None else ramp.stage_at(share) + 1,
        len(ramp.stages),
        share,
        UserPool.of(None if row is None else row.pool),
        None if row is None or row.at is None else format_instant(row.at),
        list(decision.reasons),
        list(decision.guardrails),
        list(decision.notes),
        None if moved is None else moved.to_json(),
    )


def _refuse_others(workspace: Workspace, advance: Advance) -> None:
    """Raise ContractError unless the person may answer for the surface's reviewers."""
    surface = workspace.contracts.surface
    if not advance.why.strip():
        raise ContractError("An advance needs a reason. Give it with --why TEXT")
    if surface.promotion.approvals_on_command_line is True:
        return
    reviewers = sorted({user for users in surface.reviewers.values() for user in users})
    if advance.by not in reviewers:
        raise ContractError(
            f"'{advance.by}' is no reviewer of {workspace.surface}. Reviewers: "
            f"{', '.join(reviewers) or 'none'}"
        )
