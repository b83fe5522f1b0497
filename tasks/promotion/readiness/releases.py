"""Readiness of a release: calibrated probabilities, segments, and the components of its decision.

Each function reads one line of the list from the parts that a release pins and from its verdicts.
"""

from collections.abc import Callable

from tasks.evaluation.subjects import ALL, Subject
from tasks.evaluation.verdicts import Outcome
from tasks.promotion.gates.references import weighted_tasks
from tasks.promotion.readiness.facts import (
    CONCLUSIVE,
    Judgement,
    ReadinessFacts,
    ReadinessLine,
    StandingRelease,
)
from tasks.reports.numbers import format_counted, spoken
from tasks.stores.manifest import Role

_NAMED = 6
"""Segments that one line names; the dossier has them all."""


def predictions_calibrated(standing: ReadinessFacts) -> ReadinessLine:
    """Whether each probability of the sum has a calibrator, and was shown to mean what it says (R15)."""
    return _judged(standing, "predictions calibrated", _calibrated)


def segments_monitored(standing: ReadinessFacts) -> ReadinessLine:
    """Whether segments are declared, gated, and were judged (R21, R32, F6)."""
    name, surface = "segments monitored", standing.contracts.surface
    if not surface.segments:
        return ReadinessLine.not_met(name, "surface.yaml declares no segments", "surface.yaml")
    if not surface.gates.calibration.by:
        declared = ", ".join(segment.name for segment in surface.segments)
        why = f"no gate looks at {declared}: name the segments under gates.calibration.by"
        return ReadinessLine.not_met(name, why, "surface.yaml")
    return _judged(standing, name, _segments)


def component_view(standing: ReadinessFacts) -> ReadinessLine:
    """Whether each term of the utility is shown with prediction, weight and contribution (R31)."""
    return _judged(standing, "component view", _components)


def _judged(
    standing: ReadinessFacts,
    name: str,
    read: Callable[[ReadinessFacts, StandingRelease, Judgement], ReadinessLine],
) -> ReadinessLine:
    """Read a line of a release that was judged; else say what is missing."""
    release = standing.release
    if release is None:
        return ReadinessLine.not_met(name, standing.without_release)
    if release.judgement is None:
        return ReadinessLine.not_met(name, standing.without_judgement(release))
    return read(standing, release, release.judgement)


def _calibrated(standing: ReadinessFacts, release: StandingRelease, judgement: Judgement) -> ReadinessLine:
    name = "predictions calibrated"
    tasks = [task for task in release.manifest.tasks if task in weighted_tasks(standing.contracts.utility)]
    bare = [task for task in tasks if release.manifest.find(Role.CALIBRATOR, task) is None]
    if bare:
        return ReadinessLine.not_met(name, f"no calibrator is pinned for {', '.join(bare)}", release.run)
    whole = {v.subject: v.outcome for v in judgement.of("calibration") if v.segment == ALL}
    outcomes = {task: whole.get(Subject("calibration_ratio", task=task)) for task in tasks}
    wrong = [
        f"{task}: {spoken(outcome or 'not judged')}"
        for task, outcome in outcomes.items()
        if outcome != "pass"
    ]
    blocked = [v.of for v in judgement.of("calibration", outcome=Outcome.BLOCK) if v.segment != ALL]
    if wrong or blocked:
        return ReadinessLine.not_met(name, _first([*wrong, *blocked]), release.run, judgement.run)
    judged = [v for v in judgement.of("calibration") if v.segment != ALL]
    off = f"none of {format_counted(len(judged), 'segment')} is shown to be off"
    why = f"{', '.join(tasks)} on the whole; {off if judged else 'no segment was judged'}"
    return ReadinessLine.met(name, why, release.run, judgement.run)


def _segments(standing: ReadinessFacts, release: StandingRelease, judgement: Judgement) -> ReadinessLine:
    name, gated = "segments monitored", standing.contracts.surface.gates.calibration.by
    of_segments = [v for v in judgement.verdicts if v.segment != ALL]
    judged = [v for v in of_segments if v.outcome in CONCLUSIVE]
    columns = {verdict.segment.column for verdict in judged}
    if unseen := [column for column in gated if column not in columns]:
        looked = {verdict.segment.column for verdict in of_segments}
        inconclusive = "" if looked.isdisjoint(unseen) else ": every verdict on them is inconclusive"
        why = f"no segment of {', '.join(unseen)} was judged of {release.name}{inconclusive}"
        return ReadinessLine.not_met(name, why, "surface.yaml", judgement.run)
    segments = {verdict.segment for verdict in judged}
    verdicts, values = format_counted(len(judged), "verdict"), format_counted(len(segments), "segment")
    why = f"{verdicts} on {values} of {', '.join(gated)}"
    harmed = sorted({str(v.segment) for v in judged if v.outcome is Outcome.BLOCK})
    alarm = f"; harmed: {_first(harmed)}" if harmed else "; none is shown to be harmed"
    return ReadinessLine.met(name, f"{why}{alarm}", "surface.yaml", judgement.run)


def _components(standing: ReadinessFacts, release: StandingRelease, judgement: Judgement) -> ReadinessLine:
    name, simulation = "component view", judgement.simulation
    if simulation is None or simulation.composition is None:
        why = f"the replay of {release.name} holds no composition of its utility: simulate it again"
        return ReadinessLine.not_met(name, why, judgement.run)
    shown = {term.task: term for term in simulation.composition.terms}
    terms = [task for task, term in standing.contracts.utility.named_terms.items() if term.weight]
    if missing := [task for task in terms if task not in shown]:
        why = f"the composition of {release.name} lacks {', '.join(missing)}"
        return ReadinessLine.not_met(name, why, judgement.run)
    run = judgement.runs.simulation
    said = ", ".join(f"{task} {shown[task].contribution:.3g}" for task in terms)
    total = simulation.composition.utility
    return ReadinessLine.met(name, f"a slot's utility of {total:.3g} is made of {said}", run)


def _first(named: list[str]) -> str:
    """Name the first few and count the rest."""
    rest = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return f"{', '.join(named[:_NAMED])}{rest}"
