"""The dossier of a release: the decision, its reasons and all evidence on one page and in one JSON document.

The page answers in order: may it serve, why not, what do the probabilities mean, what does the decision do,
and what was it made from.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tasks.evaluation.evidence import ConflictEvidence, GateEvidence, ProxyEvidence
from tasks.evaluation.figures import TaskEvidence
from tasks.evaluation.segments import ALL
from tasks.evaluation.verdicts import WORST_FIRST, Estimate, Verdict
from tasks.promotion.calibration_page import (
    ERRORS,
    UtilitySensitivity,
    draw_ratios,
    task_calibrations,
    utility_sensitivity,
)
from tasks.promotion.decision import Decision, Hold, Promote
from tasks.promotion.heat_map import draw_heat_map
from tasks.promotion.proxy_figures import draw_proxy
from tasks.release.conflicts import describe_overlaps
from tasks.release.sensitivity import AMPLIFIED, Sensitivity
from tasks.reports.render import render
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
    ``rules`` the gates, base rates and reviewers of then, ``loosened`` what lets more
    through than when it was made.
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
    proxies: Sequence[ProxyEvidence] = ()
    conflicts: ConflictEvidence | None = None
    rules: Mapping[str, object] | None = None
    judged_as_of: str | None = None
    loosened: Sequence[str] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to look at though it holds nothing; loosened gates come first."""
        return (
            *(f"loosened since the release was made: {bound}" for bound in self.loosened),
            *self.decision.warnings,
        )

    @property
    def verdict(self) -> Literal["promote", "hold"]:
        """``promote`` or ``hold``."""
        match self.decision:
            case Promote():
                return "promote"
            case Hold():
                return "hold"

    def evidence(self) -> GateEvidence:
        """Return the dossier as a document, without pictures."""
        return GateEvidence(
            surface=self.surface,
            release=self.release,
            as_of=self.as_of,
            verdict=self.verdict,
            reasons=self.decision.reasons if isinstance(self.decision, Hold) else (),
            warnings=self.warnings,
            notes=tuple(self.notes),
            gates=tuple(self.verdicts),
            calibration_in_slots=dict(self.slots),
            sensitivity=tuple(term.evidence() for term in self.utility.terms) if self.utility else (),
            manifest=self.manifest.to_json(),
            rules=None if self.rules is None else dict(self.rules),
            loosened=tuple(self.loosened),
            judged_as_of=None if self.judged_as_of == self.as_of else self.judged_as_of,
        )

    def to_html(self) -> str:
        """Write the dossier as one self-contained page."""
        return render(
            "dossier.html.j2",
            title=f"{self.surface} release {self.release}: {self.verdict}",
            facts=[
                f"as of {self.as_of}, label snapshot {self.manifest.snapshot.id}",
                *(
                    [f"judged as of {self.judged_as_of}"]
                    if self.judged_as_of not in {None, self.as_of}
                    else []
                ),
                f"{len(self.verdicts)} verdicts: {_counted(self.verdicts)}",
            ],
            reasons=self.decision.reasons if isinstance(self.decision, Hold) else (),
            warnings=self.warnings,
            notes=self.notes,
            verdicts=sorted(self.verdicts, key=lambda verdict: WORST_FIRST.index(verdict.outcome)),
            ratios=draw_ratios(self.verdicts),
            calibrations=task_calibrations(self.tasks, self.slots, self.verdicts),
            calibration_errors=ERRORS,
            utility=self._sensitivity(),
            amplified=AMPLIFIED,
            tasks=self.tasks,
            metrics=[m for m in _METRICS if any((m, ALL) in task.figures for task in self.tasks)],
            pictures={caption: base64.b64encode(png).decode() for caption, png in self.pictures.items()},
            proxies=[draw_proxy(proxy) for proxy in self.proxies],
            heat_map=draw_heat_map(self.conflicts),
            overlaps=list(describe_overlaps(self.conflicts)) if self.conflicts else [],
            parts=self.manifest.parts,
            ages=self.manifest.ages(),
        )

    def _sensitivity(self) -> UtilitySensitivity | None:
        if self.utility is None:
            return None
        return utility_sensitivity(
            self.utility.terms, utility=self.utility.utility, spread=self.utility.spread
        )


def _counted(verdicts: Sequence[Verdict]) -> str:
    counts = {o: sum(v.outcome is o for v in verdicts) for o in WORST_FIRST}
    return ", ".join(f"{n} {o.value}" for o, n in counts.items() if n)
