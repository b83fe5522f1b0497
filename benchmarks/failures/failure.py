"""A failure as data: the naive pipeline that ships it, its true harm, and the verdict that stops it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.failures.world import FailureWorld, Measure, TrueFigure
from benchmarks.operating_worlds.policies import Candidate
from tasks.evaluation.subjects import ALL, Segment, Subject
from tasks.evaluation.verdicts import Verdict
from tasks.promotion.decision import find_holding

Seen = Callable[[FailureWorld, Candidate], str]
"""(world, naive release) -> the figure for which a naive team ships it."""


def _nothing_more(_: FailureWorld) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class Failure:
    """One of the ten failures.

    Attributes
    ----------
    number, name : as ``F1`` and what goes wrong.
    naive : the pipeline that ships it, in a sentence or two.
    source : why its parameters are what teams use.
    ship : makes the release of that pipeline.
    seen : the figure for which it is shipped.
    harms : what people truly get of it.
    gate, subject, segment : of the verdict that stops it.
    evidence : what the gates read in addition to the release: arguments of `Gate.judge`.
    sweep : other releases of the same kind, for the picture, by name.
    """

    number: str
    name: str
    naive: str
    source: str
    ship: Callable[[FailureWorld], Candidate]
    seen: Seen
    harms: tuple[Measure, ...]
    gate: str
    subject: Subject
    segment: Segment = ALL
    evidence: Callable[[FailureWorld], Mapping[str, Any]] = _nothing_more
    sweep: Callable[[FailureWorld], Mapping[str, Candidate]] = _nothing_more


@dataclass(frozen=True)
class Demonstration:
    """A failure in the world: what it truly does, and what the gates say of it.

    Attributes
    ----------
    seen : the figure for which the naive team ships.
    harms : under the naive release; ``instead`` the same under the challenger that Equipoise promotes.
    holding : the verdicts that hold the naive release; ``stop`` is the one that the failure is about.
    sweep : the first harm of the other releases, by name.
    """

    failure: Failure
    seen: str
    harms: tuple[TrueFigure, ...]
    instead: tuple[TrueFigure, ...]
    holding: tuple[Verdict, ...]
    stop: Verdict
    sweep: Mapping[str, TrueFigure]


def demonstrate(failure: Failure, world: FailureWorld) -> Demonstration:
    """Ship a failure by its naive pipeline, measure it by the truth, and put it before the gates.

    Raises
    ------
    LookupError
        No verdict of the failure's gate, subject and segment holds the release.
    """
    release = failure.ship(world)
    judged = world.gate.judge(release, first=False, **failure.evidence(world))
    holding = find_holding(judged.verdicts, inconclusive=world.data.contracts.surface.gates.inconclusive)
    wanted = (failure.gate, failure.subject, failure.segment)
    stops = [one for one in holding if (one.gate, one.subject, one.segment) == wanted]
    if not stops:
        raise LookupError(f"{failure.number} is not held for {failure.subject} by the gate {failure.gate}.")
    return Demonstration(
        failure,
        failure.seen(world, release),
        tuple(world.compare(measure, release) for measure in failure.harms),
        tuple(world.compare(measure, world.challenger) for measure in failure.harms),
        tuple(holding),
        stops[0],
        {name: world.compare(failure.harms[0], one) for name, one in failure.sweep(world).items()},
    )
