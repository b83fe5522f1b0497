"""Subjects and thresholds of verdicts, by the names that they are printed by, for tests that state many."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tasks.contracts.metrics import read_metric
from tasks.evaluation.subjects import RATCHET, SAME_DAY, Segment, Subject, Threshold

_CHANGE = re.compile(r"(rise|fall) of ([\d.]+)%")
_END = re.compile(r"([<>])(=?) ([\d.e-]+) ?(.*)")


def subject(name: str) -> Subject:
    """Return the subject that is printed so; a task's name holds no dot here."""
    for baseline in (RATCHET, SAME_DAY):
        if name.endswith(f" vs {baseline}"):
            return replace(subject(name.removesuffix(f" vs {baseline}")), baseline=baseline)
    if "." in name:
        task, _, metric = name.partition(".")
        metric, _, feature = metric.partition(" of ")
        return Subject(metric, task=task, feature=feature)
    try:
        return Subject.of(read_metric(name))
    except ValueError:
        return Subject(name)


def bound(text: str) -> Threshold:
    """Return the threshold that is printed so."""
    if change := _CHANGE.match(text):
        share = float(change[2]) / 100
        return Threshold(high=share, words=text) if change[1] == "rise" else Threshold(low=-share, words=text)
    if text in {"no rise", "no fall"}:
        return Threshold(high=0.0, words=text) if text == "no rise" else Threshold(low=0.0, words=text)
    if end := _END.match(text):
        number, strict = float(end[3]), not end[2]
        if end[1] == "<":
            return Threshold(high=number, unit=end[4], strict=strict)
        return Threshold(low=number, unit=end[4], strict=strict)
    if re.fullmatch(r"[\d.]+ to [\d.]+", text):
        low, high = map(float, text.split(" to "))
        return Threshold(low, high)
    return Threshold(words=text)


def subject_of(row: Mapping[str, Any]) -> str:
    """Return how the subject of a verdict in JSON is printed."""
    return str(Subject(**row["subject"]))


def segment_of(row: Mapping[str, Any]) -> str:
    """Return how the segment of a verdict in JSON is printed."""
    return str(Segment(**row["segment"]))
