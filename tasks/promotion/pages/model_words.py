"""What the model gate measures of a task, in words that hold a figure.

::

    click.auc                    of a candidate where people opened it and one where they did not, ...
    click.auc of price           by price alone, ...: what is too good knows the outcome
    click.refit_shift            what is served says otherwise than what was tested, by so much
"""

from collections.abc import Callable, Mapping
from typing import Final

from tasks.evaluation.subjects import SAME_DAY, Subject
from tasks.reports.numbers import format_number, format_share, isolate

_SHARES: Final = frozenset(
    {"auc", "auc_by_request", "normalized_entropy", "relative_squared_error", "refit_shift"}
)
"""Figures that sentences write as shares."""
_RECIPE: Final = "the champion's recipe learned from the same days"


def is_share(subject: Subject) -> bool:
    """Whether a figure is written as a share.

    Examples
    --------
    >>> is_share(Subject("auc", task="click", feature="price")), is_share(Subject("auc_drop", task="click"))
    (True, False)
    """
    return subject.metric in _SHARES


def say_figure(subject: Subject, did: str, value: float) -> str:
    """Say a figure of a task; empty of one that has no words.

    Parameters
    ----------
    subject : what it is of.
    did : what somebody did, in words that complete "people ...".

    Examples
    --------
    >>> say_figure(Subject("refit_shift", task="open"), "opened it", 0.151)
    'what is served lies 15.1% from what was tested, where it says whether people opened it'
    >>> say_figure(Subject("weight", task="open"), "opened it", 0.151)
    ''
    """
    if subject.feature:
        return (
            f"by {isolate(subject.feature)} alone, of a candidate where people {did} and one where they did "
            f"not, the first stands higher in {format_share(value)} of cases"
        )
    say = (_SAME_DAY_WORDS if subject.baseline == SAME_DAY else _WORDS).get(subject.metric)
    return say(did, value) if say else ""


def _say_order(did: str, auc: float) -> str:
    return (
        f"of a candidate where people {did} and one where they did not, it gives the first the higher "
        f"probability in {format_share(auc)} of cases"
    )


def _say_lost_order(did: str, drop: float, *, than: str = "the champion") -> str:
    clause = f"it tells candidates where people {did} from others"
    if not drop:
        return f"{clause} as well as {than}"
    return (
        f"{clause} {'better' if drop < 0 else 'less well'} than {than}, by {format_number(abs(drop))} of AUC"
    )


def _say_rise(did: str, rise: float, *, than: str = "the champion's", what: str = "whether") -> str:
    clause = f"predicting {what} people {did}, its error over that of a constant is"
    if not rise:
        return f"{clause} as high as {than}"
    return f"{clause} {format_number(abs(rise))} {'higher' if rise > 0 else 'lower'} than {than}"


_WORDS: Final[Mapping[str, Callable[[str, float], str]]] = {
    "auc": _say_order,
    "auc_by_request": _say_order,
    "auc_drop": _say_lost_order,
    "auc_by_request_drop": _say_lost_order,
    "auc_over_best_feature": lambda did, gain: _say_lost_order(
        did, -gain, than="the best of its features alone"
    ),
    "normalized_entropy": lambda did, error: (
        f"predicting whether people {did}, its error is {format_share(error)} of a constant's"
    ),
    "relative_squared_error": lambda did, error: (
        f"predicting how much people {did}, its squared error is {format_share(error)} of a constant's"
    ),
    "normalized_entropy_rise": _say_rise,
    "refit_shift": lambda did, shift: (
        f"what is served lies {format_share(shift)} from what was tested, where it says whether people {did}"
    ),
}
_SAME_DAY_WORDS: Final[Mapping[str, Callable[[str, float], str]]] = {
    "auc_drop": lambda did, drop: _say_lost_order(did, drop, than=_RECIPE),
    "auc_by_request_drop": lambda did, drop: _say_lost_order(did, drop, than=_RECIPE),
    "normalized_entropy_rise": lambda did, rise: _say_rise(did, rise, than=f"that of {_RECIPE}"),
    "relative_squared_error_rise": lambda did, rise: _say_rise(
        did, rise, than=f"that of {_RECIPE}", what="how much"
    ),
    "relative_pinball_loss_rise": lambda did, rise: _say_rise(
        did, rise, than=f"that of {_RECIPE}", what="how much at most"
    ),
}
