"""The dossier of a release: the decision, its reasons and all evidence on one page and in one JSON document.

The page answers in order: may it serve, why not, what do the probabilities mean, what does the decision do,
and what was it made from.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from tasks.evaluation.evidence import TaskEvidence, estimate_to_json
from tasks.evaluation.metric_rows import WHOLE
from tasks.evaluation.verdicts import WORST_FIRST, Estimate, Verdict
from tasks.promotion.calibration_page import amplification, errors, ratios_picture, segments
from tasks.promotion.decision import Decision, Hold, Promote
from tasks.release.sensitivity import Sensitivity
from tasks.reports.page import figure, listed, page, table
from tasks.stores.manifest import Manifest

_METRICS = (
    "auc",
    "auc_by_request",
    "average_precision",
    "normalized_entropy",
    "ndcg",
    "naive_ndcg",
    "coverage",
)


@dataclass(frozen=True)
class SlotUtility:
    """Mean utility of a slot, how it differs within a request, and what calibration errors do to it."""

    utility: float
    spread: float
    terms: Sequence[Sensitivity]


@dataclass(frozen=True)
class Dossier:
    """Everything that one decision rests on.

    ``tasks`` holds the figures of each on the test slice, ``slots`` by task the calibration ratio of the
    items in the release's slots, ``notes`` what the data cannot tell, ``pictures`` PNG bytes by caption,
    ``reports`` further sections as HTML.
    """

    surface: str
    release: int
    as_of: str
    decision: Decision
    verdicts: Sequence[Verdict]
    tasks: Sequence[TaskEvidence]
    manifest: Manifest
    notes: Sequence[str] = ()
    slots: Mapping[str, Estimate] = field(default_factory=dict)
    utility: SlotUtility | None = None
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    reports: str = ""

    @property
    def verdict(self) -> str:
        """``promote`` or ``hold``."""
        match self.decision:
            case Promote():
                return "promote"
            case Hold():
                return "hold"

    def to_json(self) -> dict[str, Any]:
        """Return the dossier as plain JSON, without pictures."""
        return {
            "surface": self.surface,
            "release": self.release,
            "as_of": self.as_of,
            "verdict": self.verdict,
            "reasons": list(self.decision.reasons) if isinstance(self.decision, Hold) else [],
            "warnings": list(self.decision.warnings),
            "notes": list(self.notes),
            "gates": [verdict.to_json() for verdict in self.verdicts],
            "calibration_in_slots": {task: estimate_to_json(ratio) for task, ratio in self.slots.items()},
            "sensitivity": [term.to_json() for term in self.utility.terms] if self.utility else [],
            "manifest": self.manifest.to_json(),
        }

    def to_html(self) -> str:
        """Write the dossier as one self-contained page."""
        facts = [
            f"as of {self.as_of}, label snapshot {self.manifest.snapshot.id}",
            f"{len(self.verdicts)} verdicts: {_counted(self.verdicts)}",
        ]
        body = "".join(
            (
                self._decision(),
                _gates(self.verdicts),
                ratios_picture(self.verdicts),
                errors(self.tasks, self.slots),
                segments(self.tasks, self.verdicts),
                self._sensitivity(),
                _figures(self.tasks),
                self._pictures(),
                self.reports,
                _pins(self.manifest),
            )
        )
        return page(f"{self.surface} release {self.release}: {self.verdict}", facts, body)

    def _decision(self) -> str:
        parts = []
        if isinstance(self.decision, Hold):
            parts.append(listed("Why it is held", self.decision.reasons))
        parts += [
            listed("Warnings", self.decision.warnings),
            listed("What these data cannot tell", self.notes),
        ]
        return "".join(parts)

    def _sensitivity(self) -> str:
        if self.utility is None:
            return ""
        return amplification(self.utility.terms, utility=self.utility.utility, spread=self.utility.spread)

    def _pictures(self) -> str:
        title = "<h2>Reliability, before and after calibration</h2>" if self.pictures else ""
        return title + "".join(
            f"<figure><img alt='{escape(caption, quote=True)}' "
            f"src='data:image/png;base64,{base64.b64encode(png).decode()}'>"
            f"<figcaption>{escape(caption)}</figcaption></figure>"
            for caption, png in self.pictures.items()
        )


def _counted(verdicts: Sequence[Verdict]) -> str:
    counts = {o: sum(v.outcome is o for v in verdicts) for o in WORST_FIRST}
    return ", ".join(f"{n} {o.value}" for o, n in counts.items() if n)


def _gates(verdicts: Sequence[Verdict]) -> str:
    ordered = sorted(verdicts, key=lambda v: WORST_FIRST.index(v.outcome))
    rows = [
        (
            v.outcome.value,
            v.gate,
            v.of,
            figure(v.observed, percent=v.relative),
            v.threshold,
            _n(v),
            v.reason,
        )
        for v in ordered
    ]
    head = ("verdict", "gate", "of", "observed", "allowed", "n", "reason")
    return f"<h2>Gates</h2>{table(head, rows, numbers=(3, 4, 5))}"


def _figures(tasks: Sequence[TaskEvidence]) -> str:
    found = [{m: e for (m, segment), e in task.figures.items() if segment == WHOLE} for task in tasks]
    shown = [metric for metric in _METRICS if any(metric in figures for figures in found)]
    rows = [
        (
            task.task,
            f"{task.rows:,}",
            f"{task.positives:,}",
            *(figure(figures.get(name), digits=3) for name in shown),
        )
        for task, figures in zip(tasks, found, strict=True)
    ]
    head = ("task", "rows", "positives", *(metric.replace("_", " ") for metric in shown))
    return f"<h2>Tasks on the test slice, calibrated</h2>{table(head, rows, numbers=range(1, len(head)))}"


def _pins(manifest: Manifest) -> str:
    ages = manifest.ages()
    rows = [
        (
            p.name,
            str(p.version),
            p.sha256[:16],
            str(p.newest_training_row or ""),
            f"{ages[p.name].days} days" if p.name in ages else "",
        )
        for p in manifest.parts
    ]
    head = ("part", "version", "sha256", "newest training row", "its age")
    return f"<h2>Made from</h2>{table(head, rows, numbers=(1, 4))}"


def _n(verdict: Verdict) -> str:
    return "" if verdict.observed is None else f"{verdict.observed.n:,}"
