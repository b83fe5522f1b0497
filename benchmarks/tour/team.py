"""The team of the tour: it retrains, changes policies, asks reviewers, and moves releases.

Reviewers approve every release that passes the gates, each under their own name. A ramp that asks is answered
as in `benchmarks.eight_weeks`: a release that seems harmful beyond a bound is rolled back, any other goes on.
"""

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.operating_worlds.surface import SURFACE
from benchmarks.tour.calendar import Work
from benchmarks.tour.clock import Clock, ClockedStore
from benchmarks.tour.journal import EventKind, Journal
from benchmarks.tour.surface import COST, REVIEWERS, change_contract, read_contract
from tasks.contracts import SlateSpec, UtilitySpec
from tasks.errors import GateRefused
from tasks.experiments.ramp import RampState
from tasks.pipeline import RetrainResult, apply_policy, recheck, retrain
from tasks.promotion.moves import promote, ramp, rollback
from tasks.promotion.moves.answers import Review, answer
from tasks.promotion.moves.rules import Actor, PromotionSupport
from tasks.stores.aliases import CANARY, CHAMPION
from tasks.stores.workspace import Workspace

GATES: Final = "gates"
RAMP: Final = "ramp"
BROKEN: Final = "a deployment loses the cost of hides"
HARMFUL: Final = "a policy without the cost of hides"
_WAIVER: Final = "the tour runs no experiment"
_ANSWERED: Final = ramp.Advance("ana", "no guardrail has moved beyond its bound")
_LONGEST: Final = 230
_DEARER: Final = 1.4
"""By what a change of weights multiplies the weight of a hide, which is -5 at first."""

FirstApproval = Callable[[Workspace, int], None]
"""Has a release promoted by people: workspace, release."""


@dataclass
class Team:
    """Works on the surface below two folders.

    Attributes
    ----------
    approve_first : promotes the first release; by default in this process.
    policies : of utility and slate, by release.
    breaks : the day from which the next canary is deployed without the cost of hides; None afterwards.
    broken : the release that was deployed so, and since when.
    before : the utility.yaml that a release had changed.
    """

    surfaces: Path
    home: Path
    clock: Clock
    journal: Journal
    approve_first: FirstApproval | None = None
    breaks: int | None = None
    day: int = 0
    policies: dict[int, tuple[UtilitySpec, SlateSpec]] = field(default_factory=dict)
    broken: tuple[int, int] | None = None
    before: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def workspace(self) -> Workspace:
        """The surface under the contracts in force."""
        return Workspace(SURFACE, self.surfaces, ClockedStore(self.home, self.clock))

    @property
    def aliases(self) -> dict[str, int]:
        """The versions of champion and canary."""
        workspace = self.workspace
        return workspace.store.registry.aliases(workspace.aliases.model)

    def do(self, work: Work) -> RetrainResult:
        """Make a release and propose it."""
        if work is Work.HARMFUL_POLICY:
            return self._propose_without_cost()
        if work is Work.WEIGHTS:
            before = read_contract(self.surfaces, "utility")
            dearer = self.workspace.contracts.utility.weights[COST].weight * _DEARER
            weights = {**before["weights"], COST: dearer}
            change_contract(self.surfaces, "utility", version=self._next_version(), weights=weights)
            made = apply_policy(self.workspace)
            self.before[made.release] = before
        else:
            made = retrain(self.workspace, as_of=self.clock.now)
        if not self._propose(made, work):
            self._take_back(made.release)
        return made

    def _take_back(self, release: int | None) -> None:
        """Put back the utility that a release had changed; else the next retrain would change it too."""
        if release in self.before:
            change_contract(self.surfaces, "utility", **self.before.pop(release))

    def _propose_without_cost(self) -> RetrainResult:
        """Propose a policy that forgets a cost, and take the change back."""
        before = read_contract(self.surfaces, "utility")
        weights = {task: weight for task, weight in before["weights"].items() if task != COST}
        change_contract(self.surfaces, "utility", version=self._next_version(), weights=weights, contexts=[])
        made = apply_policy(self.workspace)
        if not self._propose(made, Work.HARMFUL_POLICY):
            evidence = shorten("; ".join(made.reasons))
            self.journal.notice(HARMFUL, began=self.day, day=self.day, by=GATES, evidence=evidence)
        change_contract(self.surfaces, "utility", **before)
        return made

    def _next_version(self) -> int:
        """Return a version of the utility that no release has had."""
        return max(utility.version for utility, _ in self.policies.values()) + 1

    def _propose(self, made: RetrainResult, work: Work) -> bool:
        """Have a release promoted if the gates let it pass; return whether it serves anybody."""
        name, contracts = f"release {made.release} ({work})", self.workspace.contracts
        self.policies[made.release] = (contracts.utility, contracts.slate)
        waiver = _WAIVER if work in {Work.WEIGHTS, Work.HARMFUL_POLICY} else None
        try:
            if work is Work.FIRST_RELEASE and self.approve_first:
                self.approve_first(self.workspace, made.release)
            else:
                self._promote(made.release, str(work), waiver=waiver)
        except GateRefused as error:
            reasons = shorten("; ".join(made.reasons) or str(error))
            self.journal.tell(self.day, EventKind.HELD, f"{name} is held: {reasons}", by=GATES)
            return False
        began = CANARY in self.aliases
        kind = EventKind.CANARY if began else EventKind.RELEASE
        serves = "is the canary" if began else "is the champion"
        if made.verdict != "promote":
            serves += f", as it is inconclusive: {shorten('; '.join(made.reasons))}"
        self.journal.tell(self.day, kind, f"{name} {serves}", by=" and ".join(REVIEWERS.values()))
        if began and self.breaks is not None and self.day >= self.breaks:
            self.breaks, self.broken = None, (made.release, self.day)
            self.journal.tell(self.day, EventKind.FAULT, BROKEN)
        return True

    def _promote(
        self, release: int, why: str, *, stage: str | None = None, waiver: str | None = None
    ) -> None:
        """Let each reviewer approve of the evidence, and move the release."""
        support, workspace = PromotionSupport(stage=stage, waiver=waiver, why=why), self.workspace
        asked = promote.prepare(workspace, release=release, evaluate_gate=recheck, support=support)
        for role, user in REVIEWERS.items():
            review = Review(role, user, approves=True, evidence=asked.evidence)
            answer(workspace, review, release=release, run="")
        promote.run(workspace, release=release, by=Actor("max"), evaluate_gate=recheck, support=support)

    def watch_ramp(self) -> None:
        """Let the ramp decide, and do what it leaves to people."""
        result = ramp.run(self.workspace, as_of=self.clock.now)
        reasons, name = "; ".join(result.reasons), f"release {result.release}"
        if result.state is RampState.ASK:
            self.journal.tell(self.day, EventKind.QUESTION, f"{name}: {reasons}", by=RAMP)
            if any(one.change is not None and one.change > one.bound for one in result.guardrails):
                rollback.run(self.workspace, why=reasons, by="ana")
                self._rolled_back(result.release, reasons, by="ana")
                return
            result = ramp.run(self.workspace, as_of=self.clock.now, advance=_ANSWERED)
        if result.state is RampState.ROLL_BACK:
            self._rolled_back(result.release, reasons, by=RAMP)
        elif result.state is RampState.ADVANCE:
            self.journal.tell(self.day, EventKind.CANARY, f"{name} goes on to its next stage", by=RAMP)
        elif result.state is RampState.FINISH and result.release is not None:
            self._finish(result.release)

    def _finish(self, release: int) -> None:
        try:
            self._promote(release, "its ramp showed no harm", stage=CHAMPION, waiver=_WAIVER)
            words, kind = f"release {release} is the champion", EventKind.RELEASE
        except GateRefused as error:
            words, kind = f"release {release} is held after its ramp: {shorten(str(error))}", EventKind.HELD
            rollback.run(self.workspace, why="held after its ramp", by="ana")
        self.journal.tell(self.day, kind, words, by=" and ".join(REVIEWERS.values()))

    def _rolled_back(self, release: int | None, reasons: str, *, by: str) -> None:
        if self.broken is not None and self.broken[0] == release:
            self.journal.notice(BROKEN, began=self.broken[1], day=self.day, by=by, evidence=reasons)
            self.broken = None
        self._take_back(release)
        self.journal.tell(self.day, EventKind.ROLLBACK, f"release {release} is rolled back: {reasons}", by=by)


def shorten(text: str) -> str:
    """Return the beginning of a reason, as the page shows it."""
    return textwrap.shorten(text, _LONGEST, placeholder=" ...")
