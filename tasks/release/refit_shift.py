"""Whether refitted models may stand in for those that were tested: the shift of their predictions, judged.

::

    shift, on the whole and by segment      all at most the bound   pass
                                            all above it            block
                                            across                  cannot_tell

The shift (``tasks/evaluation/shift.py``) is a share of the tested models' mean prediction.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tasks.contracts.gates import ModelGate
from tasks.evaluation.evidence import estimate_from_json
from tasks.evaluation.segments import ALL
from tasks.evaluation.verdicts import Outcome, Verdict, judge


def refit_to_json(*, tested: int, gate: ModelGate, shifts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Write what is known of a refit as plain JSON.

    Parameters
    ----------
    tested : the release whose models the decision was rehearsed with.
    gate : which shifts the surface allows.
    shifts : ``{task, segment, shift}``.
    """
    bounded = [{**one, "bound": gate.refit_shift_max_of(one["task"])} for one in shifts]
    return {"tested": tested, "shifts": bounded}


def judge_unrepeated(found: Mapping[str, str], *, run: str) -> Iterator[Verdict]:
    """Warn of each task whose recipe could not be repeated; ``found`` says why by task."""
    for task, why in found.items():
        yield Verdict(
            gate="model",
            subject=f"{task}.refit",
            segment=ALL,
            outcome=Outcome.WARN,
            threshold="repeated on the newest days",
            observed=None,
            reason=f"what was tested is served. {why}",
            evidence=run,
        )


def judge_refit(found: Mapping[str, Any] | None, *, run: str) -> Iterator[Verdict]:
    """Judge each shift; nothing where nothing is refitted."""
    if found is None:
        return
    for one in found["shifts"]:
        shift, bound = estimate_from_json(one["shift"]), one["bound"]
        yield Verdict(
            gate="model",
            subject=f"{one['task']}.refit_shift",
            segment=one["segment"],
            outcome=judge(shift, high=bound),
            threshold=f"<= {bound:g}",
            observed=shift,
            reason=f"what is served against release {found['tested']}, which was tested",
            evidence=run,
        )
