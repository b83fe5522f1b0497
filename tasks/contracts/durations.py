"""ISO 8601 durations in weeks, days, hours, minutes and seconds: ``P7D``, ``PT30M``, ``P1DT12H``.

Months and years have no fixed length and are refused.
"""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

_PATTERN = re.compile(
    r"P(?=.)(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?=.)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?"
)
LONGEST = timedelta(days=3650)
"""Maximum of a duration, and of the sum of durations along a chain of tasks."""


def parse_duration(text: object) -> timedelta:
    """Parse an ISO 8601 duration.

    Examples
    --------
    >>> parse_duration("P1DT12H")
    datetime.timedelta(days=1, seconds=43200)
    """
    if isinstance(text, timedelta):
        return text
    match = _PATTERN.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(
            f"{text!r} is not a duration; write weeks, days, hours, minutes or seconds as in P7D or PT30M"
        )
    try:
        duration = timedelta(**{unit: int(n) for unit, n in match.groupdict(default="0").items()})
    except OverflowError:
        duration = LONGEST * 2
    if not timedelta(0) < duration <= LONGEST:
        raise ValueError(f"{text!r} must be longer than zero and at most P3650D")
    return duration


def format_duration(duration: timedelta) -> str:
    """Write a duration in its shortest ISO 8601 form.

    Examples
    --------
    >>> format_duration(parse_duration("PT1440M")), format_duration(parse_duration("PT90M"))
    ('P1D', 'PT1H30M')
    >>> format_duration(timedelta())
    'PT0S'
    """
    hours, rest = divmod(duration.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    days = f"{duration.days}D" if duration.days else ""
    clock = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if n)
    return f"P{days}" + (f"T{clock}" if clock else "") if days or clock else "PT0S"


def describe_duration(duration: timedelta) -> str:
    """Write a duration in words, down to seconds.

    Examples
    --------
    >>> describe_duration(timedelta(days=8, minutes=30)), describe_duration(timedelta())
    ('8 days 30 minutes', '0 days')
    """
    hours, rest = divmod(duration.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = ((duration.days, "day"), (hours, "hour"), (minutes, "minute"), (seconds, "second"))
    return " ".join(f"{n} {unit}{'' if n == 1 else 's'}" for n, unit in parts if n) or "0 days"


Duration = Annotated[
    timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str)
]
