"""What a rule says of a table: what breaks it, and the lines of the days that it looked at."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

_MOST_NAMES = 12
_MOST_FOUND = 3


@dataclass(frozen=True)
class Line:
    """One figure by day, with what was usual before each; None where nothing is known.

    ``share`` says that it is a share of rows; ``found`` are the days that break the rule.
    """

    subject: str
    days: Sequence[date]
    values: Sequence[float | None]
    low: Sequence[float | None]
    high: Sequence[float | None]
    share: bool
    found: Sequence[date] = ()


@dataclass(frozen=True)
class Judged:
    """What a rule found.

    ``broken`` are sentences by subject, the first that matters most; ``holds`` is said where there is none.
    """

    subjects: Sequence[str]
    broken: Sequence[tuple[str, str]]
    holds: str
    lines: Sequence[Line] = field(default=())

    @property
    def subject(self) -> str:
        """The subjects that break the rule, else those it was asked of."""
        return named(dict.fromkeys(subject for subject, _ in self.broken) or self.subjects) or "table"

    @property
    def said(self) -> str:
        """The first three sentences and how many more there are, or what holds."""
        if not self.broken:
            return self.holds
        more = len(self.broken) - _MOST_FOUND
        told = "; ".join(sentence for _, sentence in self.broken[:_MOST_FOUND])
        return f"{told}; and {more} more" if more > 0 else told


def named(names: Iterable[str]) -> str:
    """List names, the first twelve of many.

    Examples
    --------
    >>> named(["a", "b"]), named(map(str, range(14)))
    ('a, b', '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more')
    """
    every = list(names)
    more = len(every) - _MOST_NAMES
    return ", ".join(every[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
