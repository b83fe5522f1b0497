from tasks.evaluation.verdicts import Outcome
from tasks.promotion.readiness.facts import ReadinessLine, State
from tests.promotion.readiness import standings as s


def test_an_empty_source_is_no_source() -> None:
    assert ReadinessLine.met("masks", "none", "", "run-1").sources == ("run-1",)


def test_a_judgement_gives_the_verdicts_of_one_gate_and_outcome() -> None:
    judged = s.judgement()
    assert [str(v.subject) for v in judged.of("decision")] == ["back_2d_rate"]
    assert judged.of("decision", outcome=Outcome.BLOCK) == ()
    assert judged.conclusive("decision") == {"back_2d_rate"}


def test_a_state_reads_as_words() -> None:
    assert [state.value for state in State] == ["met", "not met", "not applicable"]
