"""The utility policy as the decision reads it: frozen, from the contract's canonical JSON.

A contract's digest does not depend on the order of its keys, so neither may a decision: what is a
mapping in YAML (weights, floors, caps, minimums) is put in order of its names; what is a list there
(contexts, hard constraints, tiers) keeps the declared order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ..columns import USER_ID
from ..errors import ContractError
from .condition import Condition, operands
from .perturbation import Perturbation
from .slate_policy import SlateChange

_Declared = TypeVar("_Declared")


@dataclass(frozen=True)
class Weight:
    """A term's weight, the value column that multiplies the prediction, if any, and the most that counts."""

    weight: float
    times: str | None = None
    cap: float | None = None

    @property
    def most(self) -> float:
        """The absolute value of the largest contribution that is reckoned with."""
        return abs(self.weight) * (1.0 if self.cap is None else self.cap)


@dataclass(frozen=True)
class Multiplier:
    """A factor of the utility where every condition holds."""

    name: str
    when: tuple[Condition, ...]
    factor: float


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
class Context:
    """What holds in place of the base where every condition is met.

    Weights, floors and multipliers replace those of their names or join them, hard constraints join, and what
    ``slate`` gives replaces the slate policy's.
    """

    name: str
    when: tuple[Condition, ...]
    weights: Mapping[str, Weight]
    floors: tuple[Floor, ...] = ()
    multipliers: tuple[Multiplier, ...] = ()
    hard_constraints: tuple[HardConstraint, ...] = ()
    slate: SlateChange | None = None


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
    offset: float | None = None
    multipliers: tuple[Multiplier, ...] = ()
    perturbation: Perturbation | None = None

    @property
    def _places(self) -> tuple["UtilityPolicy | Context", ...]:
        """Where rules are declared: the base, then each context."""
        return (self, *self.contexts)

    @property
    def terms(self) -> tuple[str, ...]:
        """Tasks in the sum, base and contexts together, by name."""
        return tuple(sorted({*self.weights, *(task for c in self.contexts for task in c.weights)}))

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of the candidates that the policy reads, by name."""
        weights = [*self.weights.values(), *(w for c in self.contexts for w in c.weights.values())]
        places = self._places
        conditions = [
            *(h.condition for place in places for h in place.hard_constraints),
            *(w for place in places for m in place.multipliers for w in m.when),
            *(w for c in self.contexts for w in c.when),
        ]
        read = {w.times for w in weights if w.times is not None} | {c.column for c in conditions}
        read |= {name for c in self.contexts if c.slate is not None for name in c.slate.columns}
        read |= {USER_ID} if self.perturbation is not None else set()
        return tuple(sorted(read))

    def variants(self, term: str) -> tuple[Weight, ...]:
        """A term's weight without a context, then in each context; a term that is absent weighs 0."""
        base = self.weights.get(term, Weight(0.0))
        return (base, *(context.weights.get(term, base) for context in self.contexts))

    def floors_by_context(self) -> dict[str, dict[Floor, list[int]]]:
        """Return, by task, each floor with the contexts in which it holds; -1 is no context."""
        own = [{f.task: f for f in place.floors} for place in self._places]
        return _by_context(own)

    def multipliers_by_context(self) -> dict[str, dict[Multiplier, list[int]]]:
        """Return, by name, each multiplier with the contexts in which it holds; -1 is no context."""
        own = [{m.name: m for m in place.multipliers} for place in self._places]
        return _by_context(own)

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
        (Weight(weight=20.0, times='margin', cap=None), ('margin',))
        """
        weights, perturbation = _weights(content["weights"]), content.get("perturbation")
        return cls(
            policy=content["policy"],
            version=content["version"],
            weights=weights,
            contexts=tuple(_context(c) for c in content.get("contexts", ())),
            floors=_floors(content),
            hard_constraints=_hard_constraints(content),
            tiers=tuple(_tier(t, weights) for t in content.get("lexicographic", ())),
            offset=float(content["offset"]["scale"]) if content.get("offset") else None,
            multipliers=_multipliers(content),
            perturbation=Perturbation.from_json(perturbation) if perturbation else None,
        )


def _by_context(own: Sequence[Mapping[str, _Declared]]) -> dict[str, dict[_Declared, list[int]]]:
    """Return, by name, what is declared with the contexts in which it holds.

    Parameters
    ----------
    own : what the base declares, then each context.
    """
    held: dict[str, dict[_Declared, list[int]]] = {}
    for context, declared in enumerate(own, start=-1):
        for name, each in ({**own[0], **declared}).items():
            held.setdefault(name, {}).setdefault(each, []).append(context)
    return dict(sorted(held.items()))


def _weights(content: Mapping[str, Any]) -> dict[str, Weight]:
    return {task: _weight(content[task]) for task in sorted(content)}


def _weight(content: Any) -> Weight:
    if not isinstance(content, Mapping):
        return Weight(float(content))
    times = content.get("times")
    if isinstance(times, Mapping):
        return Weight(float(content["weight"]), times["column"], float(times["cap"]))
    return Weight(float(content["weight"]), times)


def _context(content: Mapping[str, Any]) -> Context:
    return Context(
        content["name"],
        _when(content["when"]),
        _weights(content.get("weights", {})),
        floors=_floors(content),
        multipliers=_multipliers(content),
        hard_constraints=_hard_constraints(content),
        slate=SlateChange.from_json(content["slate"]) if content.get("slate") else None,
    )


def _multipliers(content: Mapping[str, Any]) -> tuple[Multiplier, ...]:
    return tuple(
        Multiplier(m["name"], _when(m["when"]), float(m["factor"])) for m in content.get("multipliers", ())
    )


def _floors(content: Mapping[str, Any]) -> tuple[Floor, ...]:
    return tuple(_floor(task, floor) for task, floor in sorted(content.get("relevance_floor", {}).items()))


def _hard_constraints(content: Mapping[str, Any]) -> tuple[HardConstraint, ...]:
    return tuple(_hard_constraint(h) for h in content.get("hard_constraints", ()))


def _when(content: Mapping[str, Any]) -> tuple[Condition, ...]:
    return tuple(Condition(name, "one_of", operands(content[name])) for name in sorted(content))


def _floor(task: str, content: Any) -> Floor:
    if isinstance(content, Mapping):
        return Floor(task, float(content["quantile"]), within_request=True)
    return Floor(task, float(content), within_request=False)


def _hard_constraint(content: Mapping[str, Any]) -> HardConstraint:
    keeps = content.get("drop_when") is None
    condition = content["keep_when" if keeps else "drop_when"]
    read = Condition.from_json(condition, f"constraint '{content['name']}'")
    return HardConstraint(content["name"], read, keeps)


def _tier(content: Mapping[str, Any], weights: Mapping[str, Weight]) -> Tier:
    task, prefer = content["task"], content.get("prefer")
    if prefer is None and task not in weights:
        raise ContractError(
            f"Tier '{task}' has no direction: give it prefer: low or high, or a weight whose sign tells."
        )
    low = prefer == "low" if prefer is not None else weights[task].weight < 0
    return Tier(task, tuple(map(float, content["cuts"])), low_is_better=low)
