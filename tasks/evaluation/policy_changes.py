"""What one policy changes against another on the same candidates, as a document."""

from typing import Annotated, Literal

from tasks.evaluation.documents import Document, Section
from tasks.evaluation.subjects import STATED, Segment
from tasks.evaluation.verdicts import Estimate


class PolicySide(Section):
    """One of the two policies: how it was named, and what it is."""

    name: str
    policy: str
    version: int


class SlateRuleChange(Section):
    """A rule of the slate that differs, in the words of slate.yaml; None where a policy lacks it."""

    rule: str
    before: str | None
    after: str | None


class ValueChange(Section):
    """The candidates with one value of a column under both policies.

    ``up``, ``down``: how many get a better or a worse place; off the slate is the worst. ``before``,
    ``after``: share of the looks; None where exposure cannot be replayed.
    """

    column: str
    value: str
    candidates: int
    up: int
    down: int
    before: Estimate | None
    after: Estimate | None
    relative: Estimate | None


class NegativesChange(Section):
    """Predicted outcomes of a task that costs per 1,000 slots; ``pooled``: thin values of the segment."""

    task: str
    segment: Annotated[Segment, STATED]
    before: Estimate
    after: Estimate
    relative: Estimate | None
    pooled: tuple[str, ...] = ()


class ExampleSlot(Section):
    """One place of a request under both policies.

    ``place_before`` is where the item that stands here now stood under the other policy; None off its slate.
    """

    place: int
    before: str | None
    after: str | None
    place_before: int | None

    @property
    def moved(self) -> str:
        """What became of the item that stands here now: ``new``, ``up``, ``down`` or empty."""
        if self.after is None or self.place_before == self.place:
            return ""
        if self.place_before is None:
            return "new"
        return "up" if self.place < self.place_before else "down"


class ExampleRequest(Section):
    """A request side by side; ``replaced``: slots whose item the other slate does not hold."""

    request: str
    replaced: int
    slots: tuple[ExampleSlot, ...]


class PolicyDiff(Document):
    """Two policies on the candidates and predictions of one release's test slice.

    ``slate_rules``: those in which the slate policies differ. ``replaced``: the share of slots whose item the
    first policy leaves out.
    """

    document: Literal["policy_diff"] = "policy_diff"
    version: Literal[2] = 2
    surface: str
    release: int
    first_day: str
    last_day: str
    before: PolicySide
    after: PolicySide
    candidates: int
    requests: int
    users: int
    slate_rules: tuple[SlateRuleChange, ...]
    replaced: Estimate
    movers: tuple[ValueChange, ...]
    negatives: tuple[NegativesChange, ...]
    examples: tuple[ExampleRequest, ...]
    rule: str
    notes: tuple[str, ...]
    report: str = ""
