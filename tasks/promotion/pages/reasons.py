"""Why a release is held, and what warns of it: in sentences, each with the names of what was judged.

::

    decision block: hide_rate at tenure=new +51.2% [+31.4%, +71.2%], allowed rise of 15.0%
      -> Where tenure is new, of what it puts into the slots, people hid it 51.2% more often than under ...
         decision block: hide_rate at tenure=new
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.evaluation.verdicts import Verdict
from tasks.promotion.decision import explain_verdict
from tasks.promotion.pages.sentences import say_verdict
from tasks.reports.numbers import isolate, spoken
from tasks.reports.words import Vocabulary


@dataclass(frozen=True)
class Reason:
    """A reason in words; ``names`` say gate, outcome and what was judged, and are empty of no verdict."""

    sentence: str
    names: str = ""

    @property
    def line(self) -> str:
        """Say both on one line."""
        return f"{self.sentence} ({self.names})" if self.names else self.sentence


def say_reasons(lines: Sequence[str], verdicts: Sequence[Verdict], words: Vocabulary) -> list[Reason]:
    """Say each line of a decision in the surface's words; one that is of no verdict stays as it is.

    Parameters
    ----------
    lines : reasons or warnings, as the decision words them.
    verdicts : what was decided by.
    """
    explained = {explain_verdict(verdict): verdict for verdict in verdicts}
    return [_say(explained[line], words) if line in explained else Reason(line) for line in lines]


def _say(verdict: Verdict, words: Vocabulary) -> Reason:
    sentence = say_verdict(verdict, words)
    why = f"; {verdict.reason}" if verdict.reason and verdict.reason not in sentence else ""
    return Reason(sentence, f"{verdict.gate} {spoken(verdict.outcome)}: {isolate(verdict.of)}{why}")
