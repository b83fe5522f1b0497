"""The lineage gate: files are as registered, and components were trained on permitted data.

::

    pins            every file of the release and of its components has its registered digest
    labels          no component was trained on labels as of a later instant than the release's
    training_days   every tested component was trained only on days before the test slice

Steps refuse a release that violates one of these; the gate's verdicts report what was checked.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tasks.evaluation.subjects import ALL, Subject, Threshold
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.stores.manifest import Manifest, PinnedPart, Role

GATE = "lineage"
_NAMED = 3
"""Maximum number of problems in a reason; `equipoise release verify` lists all."""
_LEARNED = frozenset({Role.TASK, Role.CALIBRATOR, Role.TRUNK})


@dataclass(frozen=True)
class Lineage:
    """The inputs of the lineage gate.

    Attributes
    ----------
    manifest, tested : manifest of the release, and of the release with the models that were tested.
    files : number of verified files.
    problems : differences from the registered digests.
    labels : label snapshot and as-of of a component's training, for components that record both.
    """

    manifest: Manifest
    tested: Manifest
    files: int
    problems: Sequence[str]
    labels: Mapping[str, tuple[str, datetime]]


def evaluate_lineage(lineage: Lineage, *, run: str) -> Iterator[Verdict]:
    """Evaluate the lineage of a release."""
    yield _pins(lineage, run)
    yield _labels(lineage, run)
    yield _training_days(lineage, run)


def _pins(lineage: Lineage, run: str) -> Verdict:
    problems = [*lineage.problems[:_NAMED]]
    rest = len(lineage.problems) - len(problems)
    problems += [f"and {rest} more"] * bool(rest)
    whole = f"{lineage.files} files and {len(lineage.manifest.parts)} pinned parts are as registered"
    return _verdict(
        "pins",
        Threshold(words="as registered"),
        run,
        reason="; ".join(problems) or whole,
        broken=bool(problems),
    )


def _labels(lineage: Lineage, run: str) -> Verdict:
    """Evaluate the as-of of each component's labels; reused and slow components may have earlier labels."""
    own = lineage.manifest.snapshot
    late = [name for name, (_, as_of) in lineage.labels.items() if as_of > lineage.manifest.as_of]
    earlier = [name for name, (snapshot, _) in lineage.labels.items() if snapshot != own.id]
    said = (
        f"{len(lineage.labels) - len(earlier)} of {len(lineage.labels)} parts learned from snapshot {own.id}"
    )
    if earlier:
        said += f", from earlier ones {', '.join(earlier)}"
    reason = f"from labels of a later instant learned {', '.join(late)}" if late else said
    threshold = Threshold(words="of its own instant or before")
    return _verdict("labels", threshold, run, reason=reason, broken=bool(late))


def _training_days(lineage: Lineage, run: str) -> Verdict:
    tested, first = lineage.tested, lineage.manifest.test[0]
    learned = [
        part for part in tested.parts if part.role in _LEARNED and part.newest_training_row is not None
    ]
    gaps = [(first - part.trained_until()).days for part in learned]
    late = [part for part, gap in zip(learned, gaps, strict=True) if gap < 1]
    least = float(min(gaps)) if gaps else None
    said = f"the test slice begins on {first}"
    return _verdict(
        "training_days",
        Threshold(low=1, unit="days before the test slice"),
        run,
        reason=f"{said}, and {_named(late)} learned from later days" if late else said,
        broken=bool(late),
        observed=None if least is None else Estimate(least, least, least, len(gaps)),
    )


def _named(parts: Sequence[PinnedPart]) -> str:
    return ", ".join(f"{part.name} version {part.version} to {part.trained_until()}" for part in parts)


def _verdict(
    metric: str,
    threshold: Threshold,
    run: str,
    *,
    reason: str,
    broken: bool,
    observed: Estimate | None = None,
) -> Verdict:
    outcome = Outcome.BLOCK if broken else Outcome.PASS
    return Verdict(GATE, Subject(metric), ALL, outcome, threshold, observed, reason, run)
