"""Utility and slate policies as the decision reads them: frozen, from the contracts' canonical JSON.

A contract's digest does not depend on the order of its keys, so neither may a decision: what is a
mapping in YAML (weights, floors, caps, minimums) is put in order of its names; what is a list there
(contexts, hard constraints, tiers) keeps the declared order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import ContractError, unknown

Scalar = str | bool | int | float
Operator = Literal["one_of", "above", "below"]


@dataclass(frozen=True)
class Condition:
    """A test on one column: one of some values, strictly above or strictly below a number."""

    column: str
    operator: Operator
    operands: tuple[Scalar, ...]


@dataclass(frozen=True)
class Weight:
    """A term's weight and the value column that multiplies the prediction, if any."""

    weight: float
    times: str | None = None


@dataclass(frozen=True)
class Context:
    """Weights that replace the base ones where every condition holds."""

    name: str
    when: tuple[Condition, ...]
    weights: Mapping[str, Weight]


@dataclass(frozen=True)
class Floor:
    """Least prediction of a task: absolute, or the request's own quantile."""

    task: str
    threshold: float
    within_request: bool


@dataclass(frozen=True)
class HardConstraint:
    """Drops where the condition holds (or, with ``keeps``, where it does not), and where it is unknown."""

    name: str
    condition: Condition
    keeps: bool


@dataclass(frozen=True)
class Tier:
    """A prediction cut into bands; better bands rank first whatever the utility."""

    task: str
    cuts: tuple[float, ...]
    low_is_better: bool


@dataclass(frozen=True)
class UtilityPolicy:
    """How predictions become one number, and what may not be ranked at all."""

    policy: str
    version: int
    weights: Mapping[str, Weight]
    contexts: tuple[Context, ...] = ()
    floors: tuple[Floor, ...] = ()
    hard_constraints: tuple[HardConstraint, ...] = ()
    tiers: tuple[Tier, ...] = ()

    @property
    def terms(self) -> tuple[str, ...]:
        """Tasks in the sum, base and contexts together, by name."""
        return tuple(sorted({*self.weights, *(task for c in self.contexts for task in c.weights)}))

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of the candidates that the policy reads, by name."""
        weights = [*self.weights.values(), *(w for c in self.contexts for w in c.weights.values())]
        conditions = [
            *(h.condition for h in self.hard_constraints),
            *(w for c in self.contexts for w in c.when),
        ]
        read = {w.times for w in weights if w.times is not None} | {c.column for c in conditions}
        return tuple(sorted(read))

    def variants(self, term: str) -> tuple[Weight, ...]:
        """A term's weight without a context, then in each context; a term that is absent weighs 0."""
        base = self.weights.get(term, Weight(0.0))
        return (base, *(context.weights.get(term, base) for context in self.contexts))

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "UtilityPolicy":
        """Read the canonical content of ``utility.yaml``; guardrails and approvals are not the decision's.

        Raises
        ------
        ContractError
            A condition has no test that is known here, or a tier has no direction.

        Examples
        --------
        >>> policy = UtilityPolicy.from_json(
        ...     {"policy": "p", "version": 1, "weights": {"purchase": {"weight": 20.0, "times": "margin"}}}
        ... )
        >>> policy.weights["purchase"], policy.columns
        (Weight(weight=20.0, times='margin'), ('margin',))
        """
        weights = _weights(content["weights"])
        return cls(
            policy=content["policy"],
            version=content["version"],
            weights=weights,
            contexts=tuple(_context(c) for c in content.get("contexts", ())),
            floors=tuple(_floor(task, f) for task, f in sorted(content.get("relevance_floor", {}).items())),
            hard_constraints=tuple(_hard_constraint(h) for h in content.get("hard_constraints", ())),
            tiers=tuple(_tier(t, weights) for t in content.get("lexicographic", ())),
        )


@dataclass(frozen=True)
class Diversity:
    """Utility units subtracted for each slot that a candidate's value of ``by`` already holds."""

    by: str
    strength: float


@dataclass(frozen=True)
class SlatePolicy:
    """How ranked candidates become a slate of ``length`` slots."""

    policy: str
    version: int
    length: int
    max_per: Mapping[str, int]
    max_where: Mapping[str, int]
    min_where: Mapping[str, int]
    required_first: str | None = None
    diversity: Diversity | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of the candidates that the policy reads, by name."""
        read = {*self.max_per, *self.max_where, *self.min_where}
        read |= {self.required_first} if self.required_first else set()
        read |= {self.diversity.by} if self.diversity else set()
        return tuple(sorted(read))

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "SlatePolicy":
        """Read the canonical content of ``slate.yaml``."""
        diversity = content.get("diversity")
        return cls(
            policy=content["policy"],
            version=content["version"],
            length=content["length"],
            max_per=dict(sorted(content.get("max_per", {}).items())),
            max_where=dict(sorted(content.get("max_where", {}).items())),
            min_where=dict(sorted(content.get("min_where_if_available", {}).items())),
            required_first=content.get("required_first"),
            diversity=Diversity(diversity["by"], float(diversity["strength"])) if diversity else None,
        )


def _weights(content: Mapping[str, Any]) -> dict[str, Weight]:
    return {task: _weight(content[task]) for task in sorted(content)}


def _weight(content: Any) -> Weight:
    if isinstance(content, Mapping):
        return Weight(float(content["weight"]), content.get("times"))
    return Weight(float(content))


def _context(content: Mapping[str, Any]) -> Context:
    when = tuple(
        Condition(name, "one_of", _operands(content["when"][name])) for name in sorted(content["when"])
    )
    return Context(content["name"], when, _weights(content["weights"]))


def _floor(task: str, content: Any) -> Floor:
    if isinstance(content, Mapping):
        return Floor(task, float(content["quantile"]), within_request=True)
    return Floor(task, float(content), within_request=False)


def _hard_constraint(content: Mapping[str, Any]) -> HardConstraint:
    keeps = content.get("drop_when") is None
    condition = content["keep_when" if keeps else "drop_when"]
    return HardConstraint(content["name"], _condition(condition, content["name"]), keeps)


def _condition(content: Mapping[str, Any], name: str) -> Condition:
    tests = {test: operand for test, operand in content.items() if test != "column" and operand is not None}
    if len(tests) != 1:
        raise ContractError(
            f"Constraint '{name}' takes exactly one test, found: {', '.join(tests) or 'none'}."
        )
    test, operand = tests.popitem()
    match test:
        case "equals" | "one_of":
            return Condition(content["column"], "one_of", _operands(operand))
        case "above" | "below":
            return Condition(content["column"], test, (float(operand),))
    raise ContractError(
        unknown("test", test, ("equals", "one_of", "above", "below"), where=f"constraint '{name}'")
    )


def _operands(content: Any) -> tuple[Scalar, ...]:
    return tuple(content) if isinstance(content, Sequence) and not isinstance(content, str) else (content,)


def _tier(content: Mapping[str, Any], weights: Mapping[str, Weight]) -> Tier:
    task, prefer = content["task"], content.get("prefer")
    if prefer is None and task not in weights:
        raise ContractError(
            f"Tier '{task}' has no direction: give it prefer: low or high, or a weight whose sign tells."
        )
    low = prefer == "low" if prefer is not None else weights[task].weight < 0
    return Tier(task, tuple(map(float, content["cuts"])), low_is_better=low)
