"""What pages call tasks, metrics and baselines, for people who do not know their names.

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
    """What somebody did, in words that complete "people ..."; the task's family; whether it is a value."""

    did: str = ""
    family: Family = Family.ENGAGEMENT
    value: bool = False


@dataclass(frozen=True)
class Vocabulary:
    """The words of a surface.

    Attributes
    ----------
    tasks : by name, in the order of tasks.yaml.
    columns : that metrics may speak of.
    guards : what a guardrail protects, by metric.
    constraints : what a hard constraint keeps off, by name.
    primary : the metrics that a release may not lose.
    baseline : what the decision was replayed beside.
    inconclusive : what the surface does with a verdict that is inconclusive.
    """

    tasks: Mapping[str, TaskWords] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    guards: Mapping[str, str] = field(default_factory=dict)
    constraints: Mapping[str, str] = field(default_factory=dict)
    primary: tuple[str, ...] = ()
    baseline: str = UNKNOWN_BASELINE
    inconclusive: Literal["hold", "warn"] = "hold"

    def metric(self, name: str) -> Metric | None:
        """Read a metric's name; None of what is no metric of this surface."""
        return parse_metric(name, tasks=self.tasks, columns=self.columns)

    def did(self, task: str | None) -> str:
        """Say what somebody did, so that it completes "people ...".

        Examples
        --------
        >>> words = Vocabulary({"click": TaskWords("clicked it"), "buy": TaskWords()})
        >>> words.did("click"), words.did("buy")
        ('clicked it', 'did buy')
        """
        known = self.tasks.get(task or "")
        return known.did if known and known.did else f"did {task}"

    def is_value(self, task: str | None) -> bool:
        """Whether a task measures how much, not whether."""
        known = self.tasks.get(task or "")
        return known is not None and known.value

    def family(self, task: str | None) -> Family | None:
        """Return a task's family; None of what is no task."""
        known = self.tasks.get(task or "")
        return known.family if known else None


NO_WORDS: Final = Vocabulary()
"""Names alone, where no contracts are at hand."""


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
    ('2 verdicts: 1 inconclusive, 1 pass', 'Nothing was judged')
    """
    counts = {
        str(outcome): sum(verdict.outcome is outcome for verdict in verdicts) for outcome in WORST_FIRST
    }
    named = format_outcomes(counts)
    return f"{format_counted(len(verdicts), 'verdict')}: {named}" if named else "Nothing was judged"


def vocabulary(contracts: Contracts, *, champion: int | None) -> Vocabulary:
    """Gather the words of a surface's contracts."""
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
