"""A release in one segment alone: a page for a reader who may see no other segment.

It is made of the verdicts of that segment; figures of the whole mix all segments, and stay on the dossier.
"""

from collections.abc import Sequence
from dataclasses import replace

from tasks.errors import ContractError, unknown
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Verdict
from tasks.reports.charts import BASELINE_AT, BOUND_AT, draw_rails
from tasks.reports.phrases import phrase_verdict
from tasks.reports.render import render
from tasks.reports.words import Vocabulary, say_outcomes


def write_segment_page(title: str, segment: Segment, verdicts: Sequence[Verdict], words: Vocabulary) -> str:
    """Write the page of a segment that was judged: its bounds as a picture, and every verdict."""
    found = [verdict for verdict in verdicts if verdict.segment == segment]
    if not found:
        known = {str(verdict.segment) for verdict in verdicts if verdict.segment != ALL}
        raise ContractError(unknown("segment", str(segment), known, where="the verdicts"))
    as_whole = [replace(verdict, segment=ALL) for verdict in found]
    return render(
        "segment.html.j2",
        title=f"{title}: {segment.column} {segment.value}",
        facts=[say_outcomes(found)],
        rails=draw_rails(as_whole, words),
        baseline_at=BASELINE_AT,
        bound_at=BOUND_AT,
        beside=words.baseline,
        sentences=[phrase_verdict(verdict, words) for verdict in as_whole],
    )
