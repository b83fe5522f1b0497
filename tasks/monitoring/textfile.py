"""The newest levels and alarms in Prometheus' text format, for the textfile collector of a node exporter.

::

    equipoise_calibration_ratio{surface="home_feed",task="click_30m"} 1.03      newest level of all traffic
    equipoise_alarm{surface="home_feed",series="...",critical="true"} 1         a current alarm
    equipoise_history_days{surface="home_feed"} 131                             days of the longest series

Names and labels are stable; a figure that is unknown is left out.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from tasks.monitoring.alarms import SeriesAlarm
from tasks.monitoring.series import SeriesLevel

_HELP = {
    "alarm": "A current alarm.",
    "history_days": "Days of the longest series.",
    "review_units": "Units of the review queue.",
}


def write_textfile(
    surface: str,
    levels: Iterable[SeriesLevel],
    alarms: Iterable[SeriesAlarm],
    *,
    history: int,
    review_units: int,
) -> str:
    r"""Write the text, metrics sorted by name.

    Examples
    --------
    >>> print(write_textfile("feed", [], [], history=3, review_units=0), end="")
    # HELP equipoise_history_days Days of the longest series.
    # TYPE equipoise_history_days gauge
    equipoise_history_days{surface="feed"} 3
    # HELP equipoise_review_units Units of the review queue.
    # TYPE equipoise_review_units gauge
    equipoise_review_units{surface="feed"} 0
    """
    own = {"surface": surface}
    samples: dict[str, list[tuple[dict[str, str], float]]] = {}
    for level in levels:
        if math.isfinite(level["value"]):
            names = {
                "task": level["task"],
                "feature": level["feature"],
                "constraint": level["constraint"],
                "column": level["column"],
                "value": level["value_of"],
            }
            stated = {name: text for name, text in names.items() if text}
            samples.setdefault(level["metric"], []).append(({**own, **stated}, level["value"]))
    for alarm in alarms:
        labels = {**own, "series": alarm.name, "critical": str(alarm.critical).lower()}
        samples.setdefault("alarm", []).append((labels, 1))
    samples["history_days"] = [(own, history)]
    samples["review_units"] = [(own, review_units)]
    return "".join(_metric(name, samples[name]) for name in sorted(samples))


def _metric(name: str, samples: Sequence[tuple[Mapping[str, str], float]]) -> str:
    full = f"equipoise_{name}"
    words = _HELP.get(name, f"Newest {name.replace('_', ' ')} of all traffic.")
    lines = [f"# HELP {full} {words}", f"# TYPE {full} gauge"]
    for labels, value in samples:
        stated = ",".join(f'{label}="{_escape(text)}"' for label, text in labels.items())
        lines.append(f"{full}{{{stated}}} {value:g}")
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    r"""Escape a label's value.

    Examples
    --------
    >>> _escape('a "b"\n')
    'a \\"b\\"\\n'
    """
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
