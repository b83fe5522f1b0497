"""The one vocabulary of column names, label statuses and derived columns.

An impression is one candidate shown in one request. Its row carries, for each task::

    <task>          the label: null unless observed
    <task>__status  observed | immature | excluded | not_applicable
    <task>__at      instant of the crediting event (observed positives only)

and once scored::

    p_<task>         calibrated joint probability       p_<task>__given  given the parent
    p_<task>__shown  at the position where it stood     v_<task>         mean value
    q_<task>         quantile of a value                s_<task>         ranking score
"""

from enum import StrEnum
from typing import Final

# impressions and candidates
REQUEST_ID: Final = "request_id"
USER_ID: Final = "user_id"
ITEM_ID: Final = "item_id"
SHOWN_AT: Final = "shown_at"
POSITION: Final = "position"
SOURCE: Final = "source"
PROPENSITY: Final = "propensity"
VISIBLE: Final = "visible"
RELEASE: Final = "release"
EXPERIMENT: Final = "experiment"
"""The experiment that served the request, and ``arm`` the arm of its user."""
ARM: Final = "arm"
TRIGGERED: Final = "triggered"
"""Whether the arms of the experiment would have served the request different slates."""
LATENCY_MS: Final = "latency_ms"
"""How long the request took to serve, in milliseconds."""
SHOWN: Final = "shown"
SERVED_UTILITY: Final = "served_utility"

# events
EVENT: Final = "event"
HAPPENED_AT: Final = "happened_at"
VALUE: Final = "value"
INGESTED_AT: Final = "ingested_at"
EVENT_ID: Final = "event_id"
"""Optional: events of one id count once."""

# label store
DAY: Final = "ds"

# scored candidates
UTILITY: Final = "utility"
RANK: Final = "rank"
SLATE_POSITION: Final = "slate_position"
DROPPED_BY: Final = "dropped_by"
CONTEXT: Final = "context"
DRAWABLE: Final = "drawable"
"""Whether exploration could have drawn the candidate: what is neither shown nor drawable had no chance."""
EXPOSURE_BOOST: Final = "exposure_boost"
"""What was added to the candidate's utility for its place, so that its group gets exposure."""
CERTIFICATE: Final = "certificate"
MODEL_VERSION: Final = "model_version"
"""Versions of the models by task, as JSON."""
CALIBRATION_VERSION: Final = "calibration_version"
"""Versions of the calibrators by task, as JSON."""
CONTRACT_VERSION: Final = "contract__version"
CONTRACT_DIGEST: Final = "contract__digest"

IMPRESSION_KEY: Final = (REQUEST_ID, ITEM_ID)


class Status(StrEnum):
    """Why a label has, or has not, a value."""

    OBSERVED = "observed"
    IMMATURE = "immature"
    EXCLUDED = "excluded"
    NOT_APPLICABLE = "not_applicable"


def status(task: str) -> str:
    """Name the column that holds a task's label status."""
    return f"{task}__status"


def at(task: str) -> str:
    """Name the column that holds the instant of a task's crediting event."""
    return f"{task}__at"


def probability(task: str) -> str:
    """Name the column that holds a task's calibrated joint probability."""
    return f"p_{task}"


def given(task: str) -> str:
    """Name the column that holds P(task | its parent), calibrated."""
    return f"p_{task}__given"


def expected_value(task: str) -> str:
    """Name the column that holds a value task's calibrated expectation."""
    return f"v_{task}"


def quantile(task: str) -> str:
    """Name the column that holds a quantile head's prediction."""
    return f"q_{task}"


def ranking_score(task: str) -> str:
    """Name the column that holds a ranking head's score: an order within the request, no probability."""
    return f"s_{task}"


def predicted(task: str, kind: str) -> str:
    """Name the column that holds what a task's head predicts: binary, value, quantile or ranking.

    Examples
    --------
    >>> predicted("click", "binary"), predicted("watch", "quantile")
    ('p_click', 'q_watch')
    """
    named = {"binary": probability, "value": expected_value, "quantile": quantile, "ranking": ranking_score}
    return named[kind](task)


def at_position(prediction: str) -> str:
    """Name the column that holds a prediction for the position where the item stood."""
    return f"{prediction}__shown"


def weight_factor(task: str) -> str:
    """Name the column that holds by what a user's weight of a task was multiplied."""
    return f"factor_{task}"


def weight(task: str) -> str:
    """Name the column that holds the utility weight of a task where the candidate stands."""
    return f"weight_{task}"


def contribution(task: str) -> str:
    """Name the column that holds a task's part of the utility: prediction x weight (x value)."""
    return f"contribution_{task}"


def served(column: str) -> str:
    """Name the logged column that holds what the serving release gave in a column.

    Examples
    --------
    >>> served(probability("click"))
    'served_p_click'
    """
    return f"served_{column}"
