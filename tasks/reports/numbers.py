"""Number formats for pages and messages: three significant digits, counts in full, no underscores.

::

    0.812 [0.79, 0.83]     an estimate with its 95 % interval
    0.812 [?]              an estimate with an unknown interval
    +5.0% [+1.0%, +9.0%]   a relative change with its interval
    12.3%                  a share
    1,234                  a count
    1 user, 1,234 users    a count with a noun
    +0.112                 a term of a sum
"""

import math
import re
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # help texts format numbers too, and must not import these modules
    from tasks.evaluation.verdicts import Estimate, Power

_WORDS: Final = {
    "warn": "warning",
    "no_rule": "no limit set",
    "metric_missing": "not measured",
    "auc": "AUC",
    "auc_by_request": "AUC within requests",
}
"""Phrases that differ from their codes."""
_SMALLEST: Final = 1e-9
"""Smaller absolute values are written with an exponent."""
_NO_BREAK: Final = "\N{NO-BREAK SPACE}"
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL", "AN"})
_DIRECTION: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Control characters that change the direction of the following text."""


def format_count(count: int) -> str:
    """Write a count in full.

    Examples
    --------
    >>> format_count(1234567)
    '1,234,567'
    """
    return f"{count:,}"


def format_counted(count: int, noun: str, plural: str = "") -> str:
    """Write a count with a noun; ``plural`` is needed if the plural is not formed with an s.

    Examples
    --------
    >>> format_counted(1, "user"), format_counted(0, "user"), format_counted(1234, "user")
    ('1 user', '0 users', '1,234 users')
    """
    return f"{format_count(count)} {noun if count == 1 else plural or f'{noun}s'}"


def format_number(value: float, digits: int = 3) -> str:
    """Write a number with ``digits`` significant digits, or as an integer if it has more; empty for NaN.

    Examples
    --------
    >>> format_number(0.81234), format_number(1234.5), format_number(0.81234, digits=2)
    ('0.812', '1,234', '0.81')
    >>> format_number(150.3, digits=2), format_number(1234.5, digits=6)
    ('150', '1234.5')
    >>> format_number(0.0000012345), format_number(-2e-30)
    ('0.00000123', '-2e-30')
    """
    if math.isnan(value):
        return ""
    if abs(value) >= 10**digits - 0.5:
        return f"{value:,.0f}"
    if not _SMALLEST <= abs(value) < 1e-4:  # Python adds an exponent below 1e-4
        return f"{value:.{digits}g}"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:.{places}f}".rstrip("0")


def format_signed(value: float, digits: int = 3) -> str:
    """Write a term of a sum with its sign; empty for NaN.

    Examples
    --------
    >>> format_signed(0.11216), format_signed(-1234.5), format_signed(0.0)
    ('+0.112', '-1,234', '+0')
    """
    written = format_number(value, digits)
    return f"+{written}" if value >= 0 else written


def format_change(value: float) -> str:
    """Write a relative change in per cent with its sign; empty for NaN.

    Examples
    --------
    >>> format_change(0.05), format_change(-0.1234), format_change(2.346), format_change(0.9999)
    ('+5.0%', '-12.3%', '+235%', '+100%')
    """
    return "" if math.isnan(value) else f"{format_percent(value, signed=True)}%"


def format_share(value: float) -> str:
    """Write a share of a whole; empty for NaN.

    Examples
    --------
    >>> format_share(0.3), format_share(0.0012345)
    ('30%', '0.123%')
    """
    return "" if math.isnan(value) else f"{format_percent(value)}%"


def format_percent(value: float, *, signed: bool = False) -> str:
    """Write a share in per cent, or a signed relative change, without a unit; empty for NaN.

    Examples
    --------
    >>> format_percent(0.0012345), format_percent(-0.1234, signed=True), format_percent(2.346, signed=True)
    ('0.123', '-12.3', '+235')
    """
    if math.isnan(value):
        return ""
    if not signed:
        return format_number(100 * value)
    return f"{100 * value:+z.1f}" if abs(value) < 0.9995 else f"{100 * value:+,.0f}"


def format_estimate(
    estimate: "Estimate | None", *, relative: bool = False, share: bool = False, digits: int = 3
) -> str:
    """Write an estimate with its interval.

    Parameters
    ----------
    estimate : None and NaN give an empty text; an unknown interval is written ``[?]``, and an interval of
        zero width is omitted.
    relative, share : the estimate is a relative change, or a share.
    digits : significant digits of other estimates.

    Examples
    --------
    >>> from tasks.evaluation.verdicts import Estimate
    >>> format_estimate(Estimate(0.8123456, 0.79, 0.83, 900))
    '0.812 [0.79, 0.83]'
    >>> format_estimate(Estimate(0.05, 0.01, 0.09, 9), relative=True)
    '+5.0% [+1.0%, +9.0%]'
    >>> format_estimate(Estimate(0.05, 0.01, 0.09, 9), share=True)
    '5% [1%, 9%]'
    >>> format_estimate(Estimate(7.0, math.nan, math.nan, 1))
    '7 [?]'
    """
    if estimate is None or math.isnan(estimate.value):
        return ""
    value, low, high = (
        format_change(x) if relative else format_share(x) if share else format_number(x, digits)
        for x in (estimate.value, estimate.low, estimate.high)
    )
    if not estimate.known:
        return f"{value} [?]"
    return value if estimate.low == estimate.value == estimate.high else f"{value} [{low}, {high}]"


def format_power(power: "Power | None") -> str:
    """Write the detectable change, and the test days that decide the limit if more are needed.

    Examples
    --------
    >>> from tasks.evaluation.verdicts import Power
    >>> format_power(Power(0.08212, 7, 41)), format_power(Power(0.01, 7, 2)), format_power(None)
    ('8.2%; bound at 41 test days', '1.0%', '')
    >>> format_power(Power(0.08212, 7, never=True))
    '8.2%; bound at no number of days'
    """
    if power is None:
        return ""
    described = f"{power.detectable:.1%}"
    if power.never:
        return f"{described}; bound at no number of days"
    more = power.days_needed is not None and power.days_needed > power.days
    return f"{described}; bound at {power.days_needed} test days" if more else described


def spoken(code: str) -> str:
    """Return the phrase of an outcome, a metric or another code.

    Examples
    --------
    >>> spoken("no_rule"), spoken("auc_by_request")
    ('no limit set', 'AUC within requests')
    """
    return _WORDS.get(code) or code.replace("_", " ")


def format_outcomes(counts: Mapping[str, int]) -> str:
    """Write the number of verdicts by outcome; outcomes without a verdict are omitted.

    Examples
    --------
    >>> format_outcomes({"pass": 34, "no_rule": 7, "block": 0})
    '34 pass, 7 with no limit set'
    """
    named = {outcome: f"{'with ' * (outcome == 'no_rule')}{spoken(outcome)}" for outcome in counts}
    return ", ".join(f"{format_count(n)} {named[outcome]}" for outcome, n in counts.items() if n)


def keep_together(text: str) -> str:
    r"""Permit line breaks only before the interval of a text in a narrow column.

    Examples
    --------
    >>> ascii(keep_together("1 of 2 [0.1, 0.2]"))
    "'1\\xa0of\\xa02 [0.1,\\xa00.2]'"
    """
    return text.replace(" ", _NO_BREAK).replace(f"{_NO_BREAK}[", " [")


def shorten(text: str, most: int) -> str:
    """Omit the middle of a text longer than ``most`` characters, because names differ at their ends.

    Examples
    --------
    >>> shorten("category=garden furniture", 17), shorten("source=ads", 17)
    ('category…urniture', 'source=ads')
    """
    if len(text) <= most:
        return text
    kept = (most - 1) // 2
    return f"{text[: most - 1 - kept]}…{text[-kept:]}"


def printable(text: str) -> str:
    r"""Replace non-printable characters: XML permits few, and a single one invalidates an SVG.

    Examples
    --------
    >>> ascii(printable("ads\x00 & mail"))
    "'ads\\ufffd & mail'"
    """
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def isolate(text: str) -> str:
    r"""Isolate right-to-left text, so that it does not reorder adjacent figures.

    Examples
    --------
    >>> ascii(isolate("\u05e7\u05e0\u05d4")), isolate("bought it")
    ("'\\u2068\\u05e7\\u05e0\\u05d4\\u2069'", 'bought it')
    >>> ascii(isolate("a\u202eb"))
    "'ab'"
    """
    plain = _DIRECTION.sub("", text)
    if any(unicodedata.bidirectional(letter) in _RIGHT_TO_LEFT for letter in plain):
        return f"\N{FIRST STRONG ISOLATE}{plain}\N{POP DIRECTIONAL ISOLATE}"
    return plain
