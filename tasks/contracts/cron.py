"""Cron strings of five fields, as in ``0 4 * * 1``: minute, hour, day of month, month, day of week.

::

    field    = part {"," part}
    part     = "*" | value | value "-" value, with "/" step after a range or "*"; "L" is a month's last
    weekday  = 0 to 7, both of them Sunday; value "#" n is the n-th of its month

A string that these rules accept is one that the scheduler's own reader accepts, and it comes due some day.
"""

import re
from dataclasses import dataclass
from typing import Final

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST_MONTHS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_PART: Final = re.compile(r"(?P<low>\*|\w+)(?:-(?P<high>\w+))?(?:/(?P<step>\d{1,2}))?", re.ASCII)
_NTH: Final = re.compile(r"(?P<day>\w+)#[1-5]", re.ASCII)
_LAST: Final = "l"


@dataclass(frozen=True)
class _Field:
    """A field's name, its least and greatest value, and the words that stand for values from ``low`` on."""

    name: str
    low: int
    high: int
    words: tuple[str, ...] = ()

    def number(self, text: str) -> int:
        """Return a value that was written as a number or a word."""
        if text in self.words:
            return self.low + self.words.index(text)
        if not text.isdigit() or not self.low <= int(text) <= self.high:
            words = f" or {self.words[0]} to {self.words[-1]}" if self.words else ""
            raise ValueError(f"its {self.name} '{text}' is not {self.low} to {self.high}{words}")
        return int(text)

    def values(self, text: str) -> set[int]:
        """Return the values that a field names."""
        return set().union(*(self._part(part) for part in text.split(",")))

    def _part(self, text: str) -> set[int]:
        match = _PART.fullmatch(text)
        if match is None:
            raise ValueError(f"its {self.name} holds '{text}', which is not a value, range or step")
        low, high, step = match["low"], match["high"], int(match["step"] or 1)
        if (low == "*" and high) or (match["step"] and low != "*" and not high) or step < 1:
            raise ValueError(f"its {self.name} holds '{text}': write steps as */5 or 10-40/5")
        if low == "*":
            return set(range(self.low, self.high + 1, step))
        first = self.number(low)
        last = self.number(high) if high else first
        if last < first:
            raise ValueError(f"its {self.name} holds '{text}', a range that ends before it begins")
        return set(range(first, last + 1, step))


_MINUTE, _HOUR = _Field("minute", 0, 59), _Field("hour", 0, 23)
_DAY, _MONTH = _Field("day of month", 1, 31), _Field("month", 1, 12, _MONTHS)
_WEEKDAY: Final = _Field("day of week", 0, 7, _WEEKDAYS)


def check_cron(text: str) -> str:
    """Return a cron string that some minute meets.

    Raises
    ------
    ValueError
        It does not have five fields, a field holds no value of its own, or no day is such a day.

    Examples
    --------
    >>> check_cron("0 4 * * 1")
    '0 4 * * 1'
    >>> check_cron("0 25 * * *")
    Traceback (most recent call last):
    ...
    ValueError: '0 25 * * *' is not a cron string: its hour '25' is not 0 to 23
    """
    fields = text.lower().split(" ")
    try:
        if len(fields) != 5:
            raise ValueError("it does not have five fields, as in 0 4 * * 1")  # noqa: TRY301 - one message, made below
        minute, hour, day, month, weekday = fields
        _MINUTE.values(minute)
        _HOUR.values(hour)
        _check_days(day, _MONTH.values(month), weekday)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a cron string: {error}") from None
    return text


def _check_days(day: str, months: set[int], weekday: str) -> None:
    if match := _NTH.fullmatch(weekday):
        _WEEKDAY.number(match["day"])
    else:
        _WEEKDAY.values(weekday)
    if day == _LAST:
        return
    first = min(_DAY.values(day))
    if weekday == "*" and all(_LONGEST_MONTHS[month - 1] < first for month in months):
        raise ValueError(f"no month of it has a day {first}")
