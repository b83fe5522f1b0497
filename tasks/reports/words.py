"""The names of tasks, metrics and baselines on pages, for readers who do not know their identifiers.

::

    passed_over_7d -> "took another product"          the task's description, which completes "people ..."
    logged order   -> "logged order"                  the baseline
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from tasks.contracts import Contracts, Family
from tasks.contracts.metrics import Metric, metric_columns, parse_metric
from tasks.evaluation.verdicts import WORST_FIRST, Verdict
from tasks.reports.numbers import format_counted, format_outcomes, isolate

UNKNOWN_BASELINE: Final = "baseline"


@dataclass(frozen=True)
class TaskWords:
    """A task's description, which completes "people ...", its family, and whether it is a value."""

    did: str = ""
    family: Family = Family.ENGAGEMENT
    value: bool = False


@dataclass(frozen=True)
class Vocabulary:
    """The vocabulary of a surface.

    Attributes
    ----------
    tasks : by name, in the order of tasks.yaml.
    columns : columns that metrics may refer to.
    guards : description of each guardrail, by metric.
    constraints : description of each hard constraint, by name.
    primary : the primary metrics.
    baseline : name of the replay's baseline.
    inconclusive : effect of an inconclusive verdict on this surface.
    """

    tasks: Mapping[str, TaskWords] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    guards: Mapping[str, str] = field(default_factory=dict)
    constraints: Mapping[str, str] = field(default_factory=dict)
    primary: tuple[str, ...] = ()
    baseline: str = UNKNOWN_BASELINE
    inconclusive: Literal["hold", "warn"] = "hold"

    def metric(self, name: str) -> Metric | None:
        """Parse a metric's name; None if this surface has no such metric."""
        return parse_metric(name, tasks=self.tasks, columns=self.columns)

    def did(self, task: str | None) -> str:
        """Return a task's description, which completes "people ...".

        Examples
        --------
        >>> words = Vocabulary({"click": TaskWords("clicked it"), "buy": TaskWords()})
        >>> words.did("click"), words.did("buy")
        ('clicked it', 'did buy')
        """
        known = self.tasks.get(task or "")
        return known.did if known and known.did else f"did {task}"

    def is_value(self, task: str | None) -> bool:
        """Whether a task is a value, not an event."""
        known = self.tasks.get(task or "")
        return known is not None and known.value

    def family(self, task: str | None) -> Family | None:
        """Return a task's family; None for an unknown task."""
        known = self.tasks.get(task or "")
        return known.family if known else None


NO_WORDS: Final = Vocabulary()
"""A vocabulary without contracts: identifiers are used as names."""


def say_outcomes(verdicts: Sequence[Verdict]) -> str:
    """Count verdicts by outcome, the worst first.

    Examples
    --------
    >>> from tasks.evaluation.verdicts import Outcome
    >>> outcomes = Outcome.PASS, Outcome.INCONCLUSIVE
    >>> from tasks.evaluation.subjects import ALL, NO_THRESHOLD, Subject
    >>> hide = Subject("rate", task="hide")
    >>> judged = [Verdict("decision", hide, ALL, outcome, NO_THRESHOLD, None) for outcome in outcomes]
    >>> say_outcomes(judged), say_outcomes([])
    ('2 verdicts: 1 inconclusive, 1 pass', 'Nothing was evaluated')
    """
    counts = {
        str(outcome): sum(verdict.outcome is outcome for verdict in verdicts) for outcome in WORST_FIRST
    }
    named = format_outcomes(counts)
    return f"{format_counted(len(verdicts), 'verdict')}: {named}" if named else "Nothing was evaluated"


def vocabulary(contracts: Contracts, *, champion: int | None) -> Vocabulary:
    """Collect the vocabulary of a surface's contracts."""
    surface, utility = contracts.surface, contracts.utility
    return Vocabulary(
        tasks={
            name: TaskWords(isolate(task.description or ""), task.family, task.kind == "value")
            for name, task in contracts.tasks.tasks.items()
        },
        columns=metric_columns(surface, contracts.slate),
        guards={one.metric: isolate(one.description) for one in utility.guardrails if one.description},
        constraints={one.name: isolate(one.description) for one in utility.filters if one.description},
        primary=tuple(one.metric for one in utility.primary),
        baseline=_say_baseline(contracts, champion),
        inconclusive=surface.gates.inconclusive,
    )


def _say_baseline(contracts: Contracts, champion: int | None) -> str:
    if champion is not None:
        return f"champion {champion}"
    first = contracts.surface.gates.decision.first
    return "logged order" if isinstance(first, str) else f"order of {first.column}"
