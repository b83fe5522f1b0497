"""From verdicts to one decision: Promote, or Hold with every reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.evaluation.verdicts import Outcome, Verdict
from tasks.reports.numbers import format_estimate


@dataclass(frozen=True)
class Promote:
    """The release may be exposed."""

    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Hold:
    """The release may not be exposed; each reason is a verdict in words."""

    reasons: tuple[str, ...]
    warnings: tuple[str, ...]


Decision = Promote | Hold


def decide_release(verdicts: Sequence[Verdict], *, cannot_tell: Literal["hold", "warn"]) -> Decision:
    """Decide on a release.

    Promote needs every verdict to be pass, warn or no_rule, or cannot_tell where that is declared a
    warning. No verdict at all is a hold: nothing was shown.

    Examples
    --------
    >>> decide_release([], cannot_tell="warn")
    Hold(reasons=('no gate was judged',), warnings=())
    """
    doubtful = {Outcome.WARN} | ({Outcome.CANNOT_TELL} if cannot_tell == "warn" else set())
    fine = {Outcome.PASS, Outcome.NO_RULE} | doubtful
    warnings = tuple(explain_verdict(v) for v in verdicts if v.outcome in doubtful)
    reasons = tuple(explain_verdict(v) for v in verdicts if v.outcome not in fine)
    if not verdicts:
        reasons = ("no gate was judged",)
    return Hold(reasons, warnings) if reasons else Promote(warnings)


def explain_verdict(verdict: Verdict) -> str:
    """Say a verdict on one line.

    Examples
    --------
    >>> from tasks.evaluation.verdicts import Estimate
    >>> seen = Estimate(1.21, 1.15, 1.28, 900)
    >>> explain_verdict(Verdict("calibration", "click.ratio", "all", Outcome.BLOCK, "0.9 to 1.1", seen))
    'calibration block: click.ratio 1.21 [1.15, 1.28], allowed 0.9 to 1.1'
    """
    seen = format_estimate(verdict.observed, relative=verdict.relative)
    observed = f" {seen}" if seen else ""
    allowed = f", allowed {verdict.threshold}" if verdict.threshold else ""
    reason = f" ({verdict.reason})" if verdict.reason else ""
    return f"{verdict.gate} {verdict.outcome}: {verdict.of}{observed}{allowed}{reason}"
