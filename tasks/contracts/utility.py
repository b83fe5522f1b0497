"""``utility.yaml``: the utility policy.

total   = sum over terms of weight x calibrated probability [x value column, at most its cap]
          a term may also be the maximum of several probabilities, or a logged column without a probability
utility = total, or with an offset a positive number in the order of totals, x the multipliers that apply
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ..columns import USER_ID
from .base import (
    AsTuple,
    Closed,
    Description,
    Identifier,
    Identifiers,
    Number,
    Numbers,
    Range,
    Reference,
    Scalars,
    Slug,
    Text,
    Version,
    find_repeated,
)
from .slate import Condition, SlateOverride

_Declared = TypeVar("_Declared")
BOUNDS: Final = (
    "max",
    "min",
    "relative_increase_max",
    "relative_increase_min",
    "relative_decrease_max",
)
"""Bounds that a metric may have."""

MetricName = Annotated[
    str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*(:[^\x00-\x1f\x7f-\x9f\u2028\u2029]{1,100})?$")
]
"""Name of a metric; after a colon follows a task, or a column's value on one line."""


class Bounded(Closed):
    """A metric and its bounds.

    ``relative_increase_min`` requires an improvement: a candidate equal to its baseline fails.
    """

    metric: MetricName
    max: Number | None = None
    min: Number | None = None
    relative_increase_max: Annotated[Number, Field(ge=0)] | None = None
    relative_increase_min: Annotated[Number | None, Field(ge=0)] = None
    relative_decrease_max: Annotated[Number, Field(ge=0, le=1)] | None = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if all(getattr(self, bound) is None for bound in BOUNDS):
            raise ValueError(f"has no bound; give {', '.join(BOUNDS[:-1])} or {BOUNDS[-1]}")
        return self


def _weight(value: Any) -> Any:
    return value if isinstance(value, dict | Weight) else {"weight": value}


class ValueColumn(Closed):
    """A value column with a cap, which limits the effect of one expensive item."""

    column: Identifier
    cap: Annotated[Number, Field(gt=0)]


class Weight(Closed):
    """One term of the sum; a bare number is a weight without a value column."""

    weight: Number
    times: Identifier | ValueColumn | None = None
    why: Text | None = None

    @property
    def value_column(self) -> str | None:
        """The value column, or None."""
        return self.times.column if isinstance(self.times, ValueColumn) else self.times

    @property
    def value_cap(self) -> float | None:
        """Cap of the value column, or None."""
        return self.times.cap if isinstance(self.times, ValueColumn) else None

    @property
    def is_zero(self) -> bool:
        """Whether the weight is 0, so that the term does not change the sum."""
        return self.weight == 0

    @property
    def costs(self) -> bool:
        """Whether the term lowers the sum."""
        return self.weight < 0

    @property
    def most(self) -> float:
        """Maximum absolute contribution of the term, used by an offset."""
        return abs(self.weight) * (1.0 if self.value_cap is None else self.value_cap)


class LeastPrediction(Closed):
    """Minimum prediction of another task for a term to count."""

    min: Annotated[Number, Field(gt=0)]


class Term(Weight):
    """A term other than the weight of one task: exactly one of task, greater_of and column.

    ``column`` is a logged value column, used as it is up to ``cap``. ``where`` names minimum predictions;
    below any of them the term is 0.

    Examples
    --------
    >>> Term(greater_of=["like", "share"], weight=2.0).tasks
    ('like', 'share')
    """

    task: Identifier | None = None
    greater_of: Annotated[Identifiers, Field(min_length=2)] | None = None
    column: Identifier | None = None
    cap: Annotated[Number, Field(gt=0)] | None = None
    where: dict[Identifier, LeastPrediction] = {}

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if sum(one is not None for one in (self.task, self.greater_of, self.column)) != 1:
            raise ValueError("takes exactly one of task, greater_of, column")
        if self.column is not None and self.times is not None:
            raise ValueError("takes times for a task; a column counts by itself")
        if self.column is None and self.cap is not None:
            raise ValueError("takes cap for a column; that of a value column belongs under times")
        return self

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks whose prediction the term uses; empty for a term of a column."""
        return self.greater_of or (() if self.task is None else (self.task,))

    @property
    def sources(self) -> tuple[str | None, ...]:
        """The tasks, or None for a term that is a column."""
        return self.tasks or (None,)

    @property
    def value_column(self) -> str | None:
        """The value column, which may be the whole term."""
        return super().value_column if self.column is None else self.column

    @property
    def value_cap(self) -> float | None:
        """Cap of the value column, or None."""
        return super().value_cap if self.column is None else self.cap


Weights = dict[Identifier, Annotated[Weight, BeforeValidator(_weight)]]
Terms = dict[Identifier, Term]
_Condition = Annotated[Scalars, BeforeValidator(lambda v: v if isinstance(v, list | tuple) else (v,))]


class Offset(Closed):
    """Makes totals positive without changing their order, so that they can be multiplied.

    With N the sum of the absolute values of negative weights and T of all weights, a negative total S becomes
    scale x (S + N) / T, and any other S becomes S + scale.
    """

    scale: Annotated[Number, Field(gt=0)]


class Multiplier(Closed):
    """A factor of the utility if every condition holds; all matching multipliers apply."""

    name: Identifier
    when: Annotated[dict[Identifier, _Condition], Field(min_length=1)]
    factor: Annotated[Number, Field(gt=0)]


class Quantile(Closed):
    """A floor given as a quantile of the request's own candidates."""

    quantile: Annotated[Number, Field(gt=0, lt=1)]


Floors = dict[
    Identifier,
    Annotated[Quantile | Annotated[Number, Field(ge=0, le=1)], Field(union_mode="left_to_right")],
]


class HardConstraint(Closed):
    """A filter that drops candidates with unknown values; ``description`` states its purpose."""

    name: Identifier
    description: Description = None
    drop_when: Condition | None = None
    keep_when: Condition | None = None

    @model_validator(mode="after")
    def _drops_or_keeps(self) -> Self:
        if (self.drop_when is None) == (self.keep_when is None):
            raise ValueError("takes exactly one of drop_when, keep_when")
        return self

    @property
    def keeps(self) -> bool:
        """Whether candidates are dropped if the condition does not hold."""
        return self.keep_when is not None

    @property
    def condition(self) -> Condition:
        """The condition for dropping or keeping candidates."""
        return next(one for one in (self.keep_when, self.drop_when) if one is not None)


class _DeclaredTerms(Closed):
    """Declarations of terms of the sum."""

    weights: Weights = {}
    terms: Terms = {}

    @property
    def named_terms(self) -> dict[str, Term]:
        """All terms declared here by name; a weight is a term with the name of its task."""
        plain = {task: Term.model_construct(task=task, **dict(one)) for task, one in self.weights.items()}
        return {**plain, **self.terms}


_CHANGES: Final = ("weights", "terms", "relevance_floor", "multipliers", "hard_constraints", "slate")
"""Settings that a context may change."""


class PolicyContext(_DeclaredTerms):
    """Changes of the base policy if every condition holds; the first matching context applies.

    Weights, terms, floors and multipliers replace entries of the same name or are added; fields of the slate
    replace the slate's. Hard constraints are added: a context removes none.
    """

    name: Identifier
    when: Annotated[dict[Identifier, _Condition], Field(min_length=1)]
    relevance_floor: Floors = {}
    multipliers: Annotated[tuple[Multiplier, ...], AsTuple] = ()
    hard_constraints: Annotated[tuple[HardConstraint, ...], AsTuple] = ()
    slate: SlateOverride | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not any(getattr(self, name) for name in _CHANGES):
            raise ValueError(f"changes nothing; give {', '.join(_CHANGES[:-1])} or {_CHANGES[-1]}")
        return self


class Tier(Closed):
    """A lexicographic tier: bands of a task's probability, better bands first.

    Without ``prefer`` the sign of the task's weight gives the direction.
    """

    task: Identifier
    cuts: Annotated[Numbers, Field(min_length=1)]
    prefer: Literal["low", "high"] | None = None

    @model_validator(mode="after")
    def _cuts_increase(self) -> Self:
        if list(self.cuts) != sorted(set(self.cuts)):
            raise ValueError("cuts must increase")
        return self


class Guardrail(Bounded):
    """A bound on a metric, evaluated on its interval; ``description`` states its purpose."""

    description: Description = None
    by: Identifiers = ()
    anchor: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,60}$")] | None = None
    action: Literal["block", "warn"] = "block"


class Perturbation(Closed):
    """Multiplies each user's weights by 1 + size or 1 - size, by a salted hash of user and task."""

    size: Annotated[Number, Field(gt=0, le=0.2)]
    salt: Text


class Primary(Closed):
    """A primary metric: the one-sided 95 % lower bound of its change must stay above the margin."""

    metric: MetricName = "observed_utility"
    relative_decrease_max: Annotated[Number, Field(ge=0, lt=1)] = 0.05


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, dict | Primary) else value


def _name_each_once(primaries: tuple[Primary, ...]) -> tuple[Primary, ...]:
    if len({one.metric for one in primaries}) < len(primaries):
        raise ValueError("names a metric more than once")
    return primaries


Primaries = Annotated[
    tuple[Primary, ...],
    AsTuple,
    BeforeValidator(_one_or_many),
    AfterValidator(_name_each_once),
    Field(min_length=1, max_length=4),
]
"""The primary metrics of a policy, each with its own margin; a release must pass all of them."""


def _one_signed(ends: tuple[float, float]) -> tuple[float, float]:
    low, high = ends
    if not low < high:
        raise ValueError(f"the range [{low:g}, {high:g}] must increase")
    if low < 0 < high:
        raise ValueError(f"the range [{low:g}, {high:g}] holds both signs: a term is a gain or a cost")
    return ends


class Constrained(Closed):
    """The problem that `equipoise tune` solves for weights, with nothing else changed.

    ``maximise`` is a metric relative to the baseline. ``subject_to`` bounds other metrics, which are also
    axes of the front. ``ranges`` gives the minimum and maximum weight to propose, by term.
    """

    maximise: MetricName
    subject_to: Annotated[tuple[Bounded, ...], AsTuple, Field(min_length=1, max_length=4)]
    ranges: Annotated[dict[Identifier, Annotated[Range, AfterValidator(_one_signed)]], Field(min_length=1)]

    @model_validator(mode="after")
    def _metrics_are_named_once(self) -> Self:
        if twice := find_repeated((self.maximise, *(one.metric for one in self.subject_to))):
            raise ValueError(f"names {', '.join(twice)} more than once: give all bounds of a metric together")
        return self


class UtilitySpec(_DeclaredTerms):
    """The whole file; ``experiment`` names the experiment that justified this version."""

    policy: Slug
    version: Version
    owner: Text
    approvals: Annotated[Identifiers, Field(min_length=1)]
    experiment: Reference | None = None
    weights: Annotated[Weights, Field(min_length=1)]
    terms: Terms = {}
    offset: Offset | None = None
    multipliers: Annotated[tuple[Multiplier, ...], AsTuple] = ()
    perturbation: Perturbation | None = None
    contexts: Annotated[tuple[PolicyContext, ...], AsTuple] = ()
    relevance_floor: Floors = {}
    hard_constraints: Annotated[tuple[HardConstraint, ...], AsTuple] = ()
    lexicographic: Annotated[tuple[Tier, ...], AsTuple] = ()
    primary: Primaries = (Primary(),)
    constrained: Constrained | None = None
    guardrails: Annotated[tuple[Guardrail, ...], AsTuple] = ()

    @property
    def term_names(self) -> tuple[str, ...]:
        """All terms of base and contexts, sorted by name so that the order of keys changes no decision."""
        return tuple(self.variants)

    @property
    def base_terms(self) -> dict[str, Term]:
        """All terms by name as effective outside contexts; a term that only a context declares weighs 0."""
        return {name: base for name, (base, *_) in self.variants.items()}

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Tasks whose outcomes count in the sum, by name."""
        return tuple(sorted({task for term in self._terms for task in term.tasks}))

    @property
    def heads(self) -> tuple[str, ...]:
        """Tasks whose predictions the sum reads, thresholds included, by name."""
        read = [(*term.tasks, *term.where) for term in self._terms if not term.is_zero]
        return tuple(sorted({task for tasks in read for task in tasks}))

    @property
    def value_columns(self) -> tuple[str, ...]:
        """Value columns that the sum reads, by name."""
        return tuple(sorted({t.value_column for t in self._terms if t.value_column is not None}))

    @property
    def weighing_columns(self) -> dict[str, bool]:
        """Columns that decide what a prediction is worth, by name: whether each is a category."""
        conditions = [m.when for place in self._places for m in place.multipliers]
        conditions += [context.when for context in self.contexts]
        return {name: True for one in conditions for name in one} | dict.fromkeys(self.value_columns, False)

    @property
    def _terms(self) -> tuple[Term, ...]:
        return tuple(term for place in self._places for term in place.named_terms.values())

    @property
    def filters(self) -> tuple[HardConstraint, ...]:
        """All hard constraints, the base's first."""
        return tuple(one for place in self._places for one in place.hard_constraints)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns of the candidates that the policy reads, by name.

        Examples
        --------
        >>> UtilitySpec(
        ...     policy="p", version=1, owner="o", approvals=["product"],
        ...     weights={"purchase": {"weight": 20, "times": "margin"}},
        ... ).columns
        ('margin',)
        """
        read = {*self.value_columns}
        read |= {column for one in self.filters for column in one.condition.columns}
        read |= {column for place in self._places for m in place.multipliers for column in m.when}
        for context in self.contexts:
            read |= {*context.when, *(context.slate.columns if context.slate is not None else ())}
        read |= {USER_ID} if self.perturbation is not None else set()
        return tuple(sorted(read))

    @property
    def _places(self) -> tuple["UtilitySpec | PolicyContext", ...]:
        """The declarations of rules: the base, then each context."""
        return (self, *self.contexts)

    def model_copy(self, *, update: Mapping[str, object] | None = None, deep: bool = False) -> Self:
        """Return a copy whose cached variants are computed from its own terms."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("variants", None)
        return copied

    def with_unit_weights(self) -> Self:
        """Return the policy with weights of 1: contributions are outcomes times their value columns."""
        contexts = tuple(one.model_copy(update=_unit_weights(one)) for one in self.contexts)
        plain: dict[str, object] = {"offset": None, "perturbation": None, "contexts": contexts}
        return self.model_copy(update=plain | _unit_weights(self))

    def with_one_task(self, task: str) -> Self:
        """Return the policy whose sum is the prediction of one task in every context, without tiers."""
        none: dict[str, object] = {"weights": {}, "terms": {}, "multipliers": ()}
        contexts = tuple(one.model_copy(update=none) for one in self.contexts)
        alone = {"weights": {task: Weight(weight=1.0)}, "lexicographic": (), "offset": None}
        return self.model_copy(update=none | alone | {"contexts": contexts})

    @cached_property
    def variants(self) -> dict[str, tuple[Term, ...]]:
        """Each term by name: outside contexts, then in each context; an absent term weighs 0."""
        base, *others = (place.named_terms for place in self._places)
        none = {"weight": 0.0, "times": None}
        absent = {n: term.model_copy(update=none) for one in reversed(others) for n, term in one.items()}
        held = absent | base
        return {name: (held[name], *(one.get(name, held[name]) for one in others)) for name in sorted(held)}

    def floors_by_context(self) -> dict[str, list[tuple[float | Quantile, list[int]]]]:
        """Return, by task, each floor with the contexts in which it holds; -1 stands for the base."""
        return _by_context([place.relevance_floor for place in self._places])

    def multipliers_by_context(self) -> dict[str, list[tuple[Multiplier, list[int]]]]:
        """Return, by name, each multiplier with the contexts in which it holds; -1 stands for the base."""
        return _by_context([{m.name: m for m in place.multipliers} for place in self._places])

    def better_first(self, tier: Tier) -> Literal["low", "high"]:
        """Return the end of a tier's bands that ranks first: as declared, else by the sign of the weight."""
        return tier.prefer or ("low" if self.weights[tier.task].costs else "high")


def _unit_weights(place: UtilitySpec | PolicyContext) -> dict[str, object]:
    weights = {task: one.model_copy(update={"weight": 1.0}) for task, one in place.weights.items()}
    return {"weights": weights, "terms": {}}


def _by_context(places: Sequence[Mapping[str, _Declared]]) -> dict[str, list[tuple[_Declared, list[int]]]]:
    """Return, by name, the declarations of the base (first) and of each context, with their contexts."""
    held: dict[str, list[tuple[_Declared, list[int]]]] = {}
    for context, declared in enumerate(places, start=-1):
        for name, rule in {**places[0], **declared}.items():
            variants = held.setdefault(name, [])
            contexts = next((where for known, where in variants if known == rule), None)
            if contexts is None:
                variants.append((rule, [context]))
            else:
                contexts.append(context)
    return dict(sorted(held.items()))
