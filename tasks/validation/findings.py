"""What a rule is, what it finds in a table, and what a suite says of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from tasks.errors import list_names
from tasks.evaluation.evidence import Finding

_SEVERITIES = ("info", "warning", "critical")
_MOST_SENTENCES = 3


@dataclass(frozen=True)
class DayLine:
    """One figure by day, with its usual interval; None where nothing is known.

    ``value`` is the status or value of the subject that is counted, if any; ``share`` marks a share of rows,
    else a count; ``odd`` are the days that break the rule, ``events`` what happened on a day.
    """

    subject: str
    days: Sequence[date]
    figures: Sequence[float | None]
    low: Sequence[float | None]
    high: Sequence[float | None]
    share: bool
    odd: Sequence[date] = ()
    value: str = ""
    events: Mapping[date, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The subject, and its value where there is one."""
        return f"{self.subject} {self.value}" if self.value else self.subject


@dataclass(frozen=True)
class RuleResult:
    """What a rule finds: what breaks it, and the days that it looked at.

    ``broken`` are sentences by subject, the most important first; ``holds`` is said where there is none.
    """

    subjects: Sequence[str]
    broken: Sequence[tuple[str, str]]
    holds: str
    lines: Sequence[DayLine] = field(default=())

    @property
    def subject(self) -> str:
        """The subjects that break the rule, else those that it looked at."""
        return list_names(dict.fromkeys(subject for subject, _ in self.broken) or self.subjects) or "table"

    @property
    def observed(self) -> str:
        """The first three sentences and how many more there are, or what holds."""
        if not self.broken:
            return self.holds
        more = len(self.broken) - _MOST_SENTENCES
        sentences = "; ".join(sentence for _, sentence in self.broken[:_MOST_SENTENCES])
        return f"{sentences}; and {more} more" if more > 0 else sentences


class Rule(NamedTuple):
    """One rule, from which a Great Expectations class is made.

    Attributes
    ----------
    name : as a suite of ``expectations/`` calls it; its severity and the reason for it are in the suite.
    check : judges the measurements of a table (``measurements.py``) and words what it finds.
    arguments : what a suite may give; the judge gets those that are not null, by name.
    meaning : what is true of a table that passes.
    drawing : title of the report's drawings of days; ``always`` draws them also where nothing failed.
    """

    name: str
    check: Callable[..., RuleResult]
    arguments: tuple[str, ...]
    meaning: str
    drawing: str = ""
    always: bool = False


@dataclass(frozen=True)
class SuiteResult:
    """Every finding of one suite on one table, and by expectation the days that it looked at."""

    suite: str
    rows: int
    findings: tuple[Finding, ...]
    lines: Mapping[str, Sequence[DayLine]] = field(default_factory=dict)


def worst_severity(findings: Iterable[Finding]) -> str | None:
    """Return the worst severity that failed; None where nothing did."""
    return next((f.severity for f in sort_by_severity(findings) if not f.success), None)


def sort_by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings by severity, the worst first."""
    return sorted(findings, key=lambda f: -_SEVERITIES.index(f.severity))
