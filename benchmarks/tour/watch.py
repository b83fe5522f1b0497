"""Who notices a fault of the feed: the gates of a retrain, an alarm of the monitor, or the review queue."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final

from benchmarks.operated.season import ALONE
from benchmarks.tour.calendar import Fault
from benchmarks.tour.journal import EventKind, Journal
from tasks.datasets.world.entities import Drift
from tasks.evaluation.subjects import Subject
from tasks.monitoring.monitor import MonitorResult
from tasks.pipeline import RetrainResult

SPAMMER: Final = "c000"
_FEATURES: Final = {Drift.BROKEN_FEATURE: "user_category_affinity"}
Seen = tuple[str, str]
"""Who noticed, and the evidence."""


class Watch:
    """Reads what the product reports, and writes down what is about a fault."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._raised = dict[str, date]()

    def read(self, day: int, faults: Sequence[Fault], result: MonitorResult) -> list[Fault]:
        """Read a morning's monitor; return the faults that are noticed for the first time."""
        seen = [one for one in faults if self._write(day, one, _of_monitor(one, result))]
        for alarm in result.alarms:
            before = self._raised.get(alarm.name)
            if before is None or (alarm.day - before).days > ALONE:
                self.journal.tell(day, EventKind.ALARM, alarm.sentence.split(". ")[0], by="monitor")
            self._raised[alarm.name] = alarm.day
        return seen

    def read_gates(self, day: int, faults: Sequence[Fault], made: RetrainResult) -> list[Fault]:
        """Read the verdicts on a release; return the faults that are noticed for the first time."""
        return [one for one in faults if self._write(day, one, _of_gates(one, made))]

    def _write(self, day: int, fault: Fault, seen: Iterator[Seen]) -> bool:
        first = False
        for by, evidence in seen:
            first |= self.journal.notice(fault.name, began=fault.day, day=day, by=by, evidence=evidence)
        return first


def _of_monitor(fault: Fault, result: MonitorResult) -> Iterator[Seen]:
    if fault.drift is Drift.SPAM_CREATOR:
        for unit in result.queue:
            if (unit["column"], unit["unit"]) == ("creator", SPAMMER):
                counts = f"{unit['observed']} events, {unit['expected']:.0f} predicted"
                yield "review queue", f"creator {SPAMMER}, {unit['task']}: {counts}"
    for alarm in result.alarms:
        delayed = fault.drift is Drift.DELAY_CHANGE and alarm.subject.metric == "arrived_share"
        if delayed or (alarm.subject.feature or None) == _FEATURES.get(fault.drift, ""):
            yield "monitor", alarm.name


def _of_gates(fault: Fault, made: RetrainResult) -> Iterator[Seen]:
    for gate in made.gates:
        feature = Subject(**gate["subject"]).feature
        if gate["outcome"] in {"block", "warn"} and feature and feature == _FEATURES.get(fault.drift):
            yield f"gate {gate['gate']}", gate["reason"]
