"""The dossier of a release: the decision, its reasons and all evidence on one page and in one JSON document.

The page answers in order: may it serve, why not, what do the probabilities mean, what does the decision do,
and what was it made from.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.release.decision import Decision, Hold, Promote
from tasks.release.manifest import Manifest
from tasks.release.page import figure, listed, page, table

_ORDER = (
    Outcome.BLOCK,
    Outcome.METRIC_MISSING,
    Outcome.CANNOT_TELL,
    Outcome.WARN,
    Outcome.PASS,
    Outcome.NO_RULE,
)
_METRICS = ("auc", "auc_by_request", "average_precision", "normalized_entropy", "calibration_ratio")


@dataclass(frozen=True)
class Dossier:
    """Everything that one decision rests on.

    ``figures`` holds by task the estimates of the whole test slice, ``notes`` what the data cannot tell,
    ``pictures`` PNG bytes by caption.
    """

    surface: str
    release: int
    as_of: str
    decision: Decision
    verdicts: Sequence[Verdict]
    figures: Mapping[str, Mapping[str, Estimate]]
    manifest: Manifest
    notes: Sequence[str] = ()
    pictures: Mapping[str, bytes] = field(default_factory=dict)

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
                _calibration_picture(self.verdicts),
                _figures(self.figures),
                self._pictures(),
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

    def _pictures(self) -> str:
        return "".join(
            f"<figure><img alt='{escape(caption, quote=True)}' "
            f"src='data:image/png;base64,{base64.b64encode(png).decode()}'>"
            f"<figcaption>{escape(caption)}</figcaption></figure>"
            for caption, png in self.pictures.items()
        )


def _counted(verdicts: Sequence[Verdict]) -> str:
    counts = {o: sum(v.outcome is o for v in verdicts) for o in _ORDER}
    return ", ".join(f"{n} {o.value}" for o, n in counts.items() if n)


def _gates(verdicts: Sequence[Verdict]) -> str:
    ordered = sorted(verdicts, key=lambda v: _ORDER.index(v.outcome))
    rows = [
        (
            v.outcome.value,
            v.gate,
            v.subject,
            v.segment,
            figure(v.observed, percent=v.relative),
            v.threshold,
            _n(v),
            v.reason,
        )
        for v in ordered
    ]
    head = ("verdict", "gate", "of", "segment", "observed", "allowed", "n", "reason")
    return f"<h2>Gates</h2>{table(head, rows, numbers=(4, 5, 6))}"


def _figures(figures: Mapping[str, Mapping[str, Estimate]]) -> str:
    rows = [
        (task, *(figure(by_metric.get(metric)) for metric in _METRICS)) for task, by_metric in figures.items()
    ]
    head = ("task", *(metric.replace("_", " ") for metric in _METRICS))
    return f"<h2>Tasks on the test slice, calibrated</h2>{table(head, rows, numbers=range(1, len(head)))}"


def _pins(manifest: Manifest) -> str:
    rows = [(p.name, str(p.version), p.sha256[:16], str(p.newest_training_row or "")) for p in manifest.parts]
    head = ("part", "version", "sha256", "newest training row")
    return f"<h2>Made from</h2>{table(head, rows, numbers=(1,))}"


def _n(verdict: Verdict) -> str:
    return "" if verdict.observed is None else f"{verdict.observed.n:,}"


def _calibration_picture(verdicts: Sequence[Verdict]) -> str:
    """Draw each calibration ratio with its interval beside the allowed band, on a log scale from 1/2 to 2."""
    shown = [(v, v.observed) for v in verdicts if v.gate == "calibration" and v.observed and v.observed.known]
    if not shown:
        return ""
    low, high = (float(edge) for edge in shown[0][0].threshold.split(" to "))
    height = 24 * len(shown) + 30
    lines = "".join(_bar(verdict, seen, 24 * i + 18) for i, (verdict, seen) in enumerate(shown))
    band = f"<rect x={_x(low):.1f} y=0 width={_x(high) - _x(low):.1f} height={height - 22} fill=#2e7d3222 />"
    ticks = "".join(
        f"<text x={_x(t):.1f} y={height - 6} text-anchor=middle>{t:g}</text>" for t in (0.5, 0.8, 1, 1.25, 2)
    )
    return (
        "<h2>Calibration ratios</h2><figure>"
        f"<svg viewBox='0 0 900 {height}' width=900 font-size=13 fill=currentColor font-family=system-ui>"
        f"{band}{lines}{ticks}</svg>"
        "<figcaption>observed over predicted, 95 % intervals that resample users; "
        "the band is what the surface allows</figcaption></figure>"
    )


def _bar(verdict: Verdict, seen: Estimate, y: int) -> str:
    name = verdict.subject.removesuffix(".calibration_ratio")
    label = name if verdict.segment == "all" else f"{name} {verdict.segment}"
    return (
        f"<g class={verdict.outcome.value}><text x=330 y={y + 4} text-anchor=end>{escape(label)}</text>"
        f"<line x1={_x(seen.low):.1f} x2={_x(seen.high):.1f} y1={y} y2={y} stroke=currentColor "
        "stroke-width=2 />"
        f"<circle cx={_x(seen.value):.1f} cy={y} r=4 /></g>"
    )


def _x(ratio: float) -> float:
    """Place a ratio between x = 350 (1/2 and below) and x = 880 (2 and above), on a log scale."""
    exponent = max(-1.0, min(1.0, _log2(ratio)))
    return 615 + 265 * exponent


def _log2(ratio: float) -> float:
    return math.log2(ratio) if ratio > 0 else -1.0
