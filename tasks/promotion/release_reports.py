"""What the release step reports beside its tasks' figures, as verdicts for the gate.

::

    evidence of the release step
    ├── kept, unrepeated, refit   what is served beside what was tested  -> verdicts that hold
    └── proxies                   each declared pair                     -> verdicts that warn
"""

from tasks.evaluation.evidence import ReleaseEvidence
from tasks.evaluation.verdicts import Verdict
from tasks.promotion.unchanged_parts import judge_kept
from tasks.release.proxies import judge_proxies
from tasks.release.refit_shift import judge_refit, judge_unrepeated


def report_verdicts(released: ReleaseEvidence, *, run: str) -> tuple[Verdict, ...]:
    """Judge what the release step's evidence reports; ``run`` is the step's."""
    return (
        *judge_kept(released.kept, run=run),
        *judge_unrepeated(released.unrepeated, run=run),
        *judge_refit(released.refit, run=run),
        *judge_proxies(released.proxies, run=run),
    )
