"""Readiness: whether people may rely on a surface, as a list of which each line is read from what lies there.

::

    contracts   tasks explicit, windows defined, utility weights separate, guardrails defined,
                hard constraints are filters, business balanced with user value, reranker for slates
    release     maturity handled, masks, loss weights versioned, predictions calibrated,
                composition versioned, segments monitored, delayed outcomes no negatives, component view
    audit       policy changes tracked as experiments

A line of the contracts looks at the release too, where there is one; the others say until then what is
missing.
"""

from collections.abc import Callable
from typing import Final

from tasks.promotion.readiness.facts import ReadinessFacts, ReadinessLine
from tasks.promotion.readiness.labels import (
    delayed_outcomes,
    loss_weights_versioned,
    masks,
    maturity_handled,
    negatives_handled,
    tasks_explicit,
    windows_defined,
)
from tasks.promotion.readiness.policies import (
    business_balanced,
    changes_tracked,
    composition_versioned,
    guardrails_defined,
    hard_constraints,
    slate_reranker,
    utility_weights_separate,
)
from tasks.promotion.readiness.releases import component_view, predictions_calibrated, segments_monitored

LINES: Final[tuple[Callable[[ReadinessFacts], ReadinessLine], ...]] = (
    tasks_explicit,
    windows_defined,
    maturity_handled,
    masks,
    loss_weights_versioned,
    utility_weights_separate,
    predictions_calibrated,
    composition_versioned,
    guardrails_defined,
    hard_constraints,
    segments_monitored,
    delayed_outcomes,
    negatives_handled,
    business_balanced,
    slate_reranker,
    component_view,
    changes_tracked,
)


def readiness_lines(standing: ReadinessFacts) -> tuple[ReadinessLine, ...]:
    """Return every line of the list in its order."""
    return tuple(line(standing) for line in LINES)
