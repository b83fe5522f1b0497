"""A rule, the result of a rule on a table, and the result of a suite."""

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
    """One figure by day, with its usual interval; None if unknown.

    ``value`` is the counted status or value of the subject, if any. ``share`` marks a share of rows instead
    of a count. ``odd`` lists the days that break the rule, ``events`` the events of a day.
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
        """The subject, with its value if there is one."""
        return f"{self.subject} {self.value}" if self.value else self.subject


@dataclass(frozen=True)
class RuleResult:
    """The result of a rule: what breaks it, and the examined days.

    ``broken`` contains sentences by subject, the most important first; ``holds`` is the text if it is empty.
    """

    subjects: Sequence[str]
    broken: Sequence[tuple[str, str]]
    holds: str
    lines: Sequence[DayLine] = field(default=())

    @property
    def subject(self) -> str:
        """The subjects that break the rule, else the examined ones."""
        return list_names(dict.fromkeys(subject for subject, _ in self.broken) or self.subjects) or "table"

    @property
    def observed(self) -> str:
        """The first three sentences and the number of further ones, or the text of ``holds``."""
        if not self.broken:
            return self.holds
        more = len(self.broken) - _MOST_SENTENCES
        sentences = "; ".join(sentence for _, sentence in self.broken[:_MOST_SENTENCES])
        return f"{sentences}; and {more} more" if more > 0 else sentences


class Rule(NamedTuple):
    """A rule, from which a Great Expectations class is created.

    Attributes
    ----------
    name : name in the suites of ``expectations/``, which also contain its severity and the reason for it.
    check : evaluates the measurements of a table (``measurements.py``) and describes the result.
    arguments : arguments that a suite may give; ``check`` receives the non-null ones by name.
    meaning : property of a table that passes.
    drawing : title of the report's charts by day; with ``always`` they are also drawn if nothing failed.
    """

    name: str
    check: Callable[..., RuleResult]
    arguments: tuple[str, ...]
    meaning: str
    drawing: str = ""
    always: bool = False


@dataclass(frozen=True)
class SuiteResult:
    """The findings of one suite on one table, and the examined days by expectation."""

    suite: str
    rows: int
    findings: tuple[Finding, ...]
    lines: Mapping[str, Sequence[DayLine]] = field(default_factory=dict)


def worst_severity(findings: Iterable[Finding]) -> str | None:
    """Return the worst severity among the failures; None without failures."""
    return next((f.severity for f in sort_by_severity(findings) if not f.success), None)


def sort_by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings by severity, the worst first."""
    return sorted(findings, key=lambda f: -_SEVERITIES.index(f.severity))
