"""The effective policy in each context of a utility policy, with weights in units of one outcome.

::

    base                 weights, floors, multipliers, hard constraints of utility.yaml, slate of slate.yaml
    context, if met      weights, floors and multipliers replace entries of the same name or are added,
                         fields of the slate replace the slate's, hard constraints are added

A worth of 50 in units of clicks means that one such outcome counts as 50 clicks. Every context uses the
weight of a click in the base. A term with a value column has this worth per unit of the column.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tasks.contracts.slate import SlateSpec
from tasks.contracts.utility import Floors, PolicyContext, Term, UtilitySpec
from tasks.errors import ContractError, unknown

BASE: Final = "base"
"""Name of the policy outside all contexts."""


@dataclass(frozen=True)
class EffectiveTerm:
    """One term of the sum: its weight, its worth in units of the chosen outcome, and what it multiplies.

    ``of`` describes what the term counts if that is more than one task.
    """

    task: str
    of: str | None
    weight: float
    worth: float
    times: str | None
    cap: float | None


@dataclass(frozen=True)
class EffectivePolicy:
    """The policy that is effective in one context.

    Attributes
    ----------
    context : name of the context, or `BASE`.
    when : the values of each column for which the context holds; empty for the base.
    changed : names of the settings that differ from the base.
    relevance_floor : minimum probability, or quantile within the request, by task.
    multipliers : factor by name.
    hard_constraints : names of the filters.
    slate : effective fields of the slate policy.
    """

    context: str
    when: Mapping[str, tuple[Any, ...]]
    terms: tuple[EffectiveTerm, ...]
    relevance_floor: Mapping[str, float | str]
    multipliers: Mapping[str, float]
    hard_constraints: tuple[str, ...]
    slate: Mapping[str, Any]
    changed: tuple[str, ...]


def effective_policies(utility: UtilitySpec, slate: SlateSpec, *, unit: str) -> list[EffectivePolicy]:
    """Return the effective policy of the base, then of each context in the order of evaluation.

    Examples
    --------
    >>> weights = {"click": 0.4, "purchase": 20.0}
    >>> checkout = {"name": "checkout", "when": {"page": "checkout"}, "weights": {"purchase": 40.0}}
    >>> utility = UtilitySpec(
    ...     policy="u", version=1, owner="o", approvals=["p"], weights=weights, contexts=[checkout]
    ... )
    >>> slate = SlateSpec(policy="s", version=1, length=8)
    >>> for one in effective_policies(utility, slate, unit="click"):
    ...     print(one.context, [round(term.worth) for term in one.terms], one.changed)
    base [1, 50] ()
    checkout [1, 100] ('purchase',)
    """
    if unit not in utility.weights:
        raise ContractError(unknown("unit", unit, utility.weights, where="utility.yaml weights"))
    if not utility.weights[unit].weight:
        raise ContractError(f"Weights cannot be expressed in '{unit}', whose weight is 0. Name another task.")
    one = abs(utility.weights[unit].weight)
    base = _effective(utility, slate, None, one)
    return [base, *(_effective(utility, slate, context, one) for context in utility.contexts)]


def default_unit(utility: UtilitySpec) -> str:
    """Return the outcome used as unit: the first gain without a value column, else the first term.

    Examples
    --------
    >>> utility = UtilitySpec(
    ...     policy="u", version=1, owner="o", approvals=["p"], weights={"hide": -3.0, "click": 0.4}
    ... )
    >>> default_unit(utility)
    'click'
    """
    gains = (
        task for task, weight in utility.weights.items() if weight.weight > 0 and weight.value_column is None
    )
    return next(gains, next(iter(utility.weights)))


def _effective(
    utility: UtilitySpec, slate: SlateSpec, context: PolicyContext | None, unit: float
) -> EffectivePolicy:
    terms = {**utility.named_terms, **(context.named_terms if context else {})}
    floors: Floors = {**utility.relevance_floor, **(context.relevance_floor if context else {})}
    multipliers = (*utility.multipliers, *(context.multipliers if context else ()))
    constraints = (*utility.hard_constraints, *(context.hard_constraints if context else ()))
    replaced = context.slate.model_dump(exclude_none=True) if context and context.slate else {}
    fields = slate.model_dump(exclude_defaults=True, exclude={"policy", "version"})
    return EffectivePolicy(
        context=context.name if context else BASE,
        when=dict(context.when) if context else {},
        terms=tuple(
            EffectiveTerm(
                task=name,
                of=_describe_source(name, term),
                weight=term.weight,
                worth=term.weight / unit,
                times=term.value_column,
                cap=term.value_cap,
            )
            for name, term in terms.items()
        ),
        relevance_floor={
            task: floor if isinstance(floor, float) else f"quantile {floor.quantile:g}"
            for task, floor in floors.items()
        },
        multipliers={one.name: one.factor for one in multipliers},
        hard_constraints=tuple(one.name for one in constraints),
        slate={**fields, **replaced},
        changed=_changed(context, replaced) if context else (),
    )


def describe_weight(name: str, term: Term) -> str:
    """Describe a term by its factors; a task with the term's own name is left out.

    Examples
    --------
    >>> describe_weight("best", Term(greater_of=["like", "share"], weight=2.0, where={"click": {"min": 0.2}}))
    '2 x greater of like and share where click is at least 0.2'
    >>> describe_weight("risk", Term(column="policy_risk", weight=-1.0, cap=5))
    '-1 x policy_risk up to 5'
    """
    source, cap = _describe_source(name, term), "" if term.value_cap is None else f" up to {term.value_cap:g}"
    times = None if term.value_column is None or term.column else f"{term.value_column}{cap}"
    if term.column:
        source = f"{term.column}{cap}{_describe_conditions(term)}"
    return " x ".join(filter(None, (f"{term.weight:g}", times, source)))


def _describe_source(name: str, term: Term) -> str | None:
    """Describe a term without its weight and value column; None if it counts only the task of its name."""
    counted = " and ".join(term.tasks)
    words = f"greater of {counted}" if term.greater_of else counted or f"column {term.column}"
    whole = f"{words}{_describe_conditions(term)}"
    return None if whole == name else whole


def _describe_conditions(term: Term) -> str:
    where = " and ".join(f"{task} is at least {least.min:g}" for task, least in term.where.items())
    return f" where {where}" if where else ""


def _changed(context: PolicyContext, slate: Mapping[str, Any]) -> tuple[str, ...]:
    """List the terms, floors, multipliers, filters and slate fields that a context sets."""
    return (
        *context.named_terms,
        *(f"floor {task}" for task in context.relevance_floor),
        *(f"multiplier {one.name}" for one in context.multipliers),
        *(f"constraint {one.name}" for one in context.hard_constraints),
        *(f"slate {field}" for field in slate),
    )
