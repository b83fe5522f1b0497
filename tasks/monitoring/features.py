"""How far features are from the days that the champion learned from, in bits of Jensen-Shannon divergence.

::

    feature_distance, feature    of a day from the train days of the head that gains most from the feature
    feature_distance, task       mean over the features of a head, weighted by gain
    high                         the greatest between two train days, or what chance gives, and .05 bits

Features without a hundredth of a head's gain have no series. Only days after the train days are compared.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from tasks import columns as c
from tasks.errors import DataError, StoreError
from tasks.evaluation.metric_rows import Figure
from tasks.evaluation.subjects import ALL, Subject
from tasks.labels.snapshot import Snapshot
from tasks.monitoring.traffic import LoggedTraffic, ServingReleases
from tasks.release.inputs import TrainRows

FEATURE_DISTANCE: Final = "feature_distance"
_LEAST_GAIN: Final = 0.01


@dataclass(frozen=True)
class FeatureDistances:
    """Compares days with the champion's train days."""

    trained: TrainRows

    @classmethod
    def begin(cls, snapshot: Snapshot, releases: ServingReleases) -> "FeatureDistances | None":
        """Read the train days; None without a champion, or where they are not there any more."""
        release = None if releases.champion is None else releases.find(releases.champion)
        if release is None:
            return None
        try:
            return cls(TrainRows.read(snapshot, release.manifest, release.heads))
        except (DataError, StoreError, KeyError) as error:
            releases.notes[f"Features cannot be compared with the champion's train days. {error}"] = None
            return None

    def measure(self, traffic: LoggedTraffic, days: Sequence[date]) -> Iterator[tuple[date, Figure]]:
        """Yield the distances of some days of the traffic."""
        later = [day for day in days if day > self.trained.last_day]
        rows = np.isin(traffic.days, np.array(later, dtype="datetime64[D]"))
        if not rows.any():
            return
        frame = traffic.frame[rows].assign(**{c.DAY: traffic.days[rows].astype(object)})
        for day, by_task in self.trained.distances(frame).items():
            best: dict[str, tuple[float, tuple[float, float]]] = {}
            for task, found in by_task.items():
                gains = {name: gain for name, gain in self.trained.gains[task].items() if name in found}
                for name, gain in gains.items():
                    best[name] = max(best.get(name, (0.0, (np.nan, np.nan))), (gain, found[name]))
                if sum(gains.values()):
                    own = [found[name] for name in gains]
                    mean, high = np.average(own, axis=0, weights=[*gains.values()])
                    yield day, _figure(Subject(FEATURE_DISTANCE, task=task), mean, high, int(rows.sum()))
            for name, (gain, (value, high)) in best.items():
                if gain >= _LEAST_GAIN:
                    yield day, _figure(Subject(FEATURE_DISTANCE, feature=name), value, high, int(rows.sum()))


def _figure(subject: Subject, value: float, high: float, rows: int) -> Figure:
    return Figure(subject, ALL, float(value), np.nan, float(high), 0, rows, 0)
