from pathlib import Path

from tasks.promotion.readiness.checklist import LINES, readiness_lines
from tasks.promotion.readiness.facts import ReadinessFacts, State
from tests.promotion.readiness import standings as s

NAMES = """tasks explicit; windows defined; maturity handled; masks; loss weights versioned; utility weights separate;
predictions calibrated; composition versioned; guardrails defined; hard constraints are filters; segments monitored;
delayed outcomes no negatives; negatives handled; business balanced with user value; reranker for slates;
component view; policy changes tracked as experiments"""


def test_the_list_holds_its_seventeen_lines_in_order(tmp_path: Path) -> None:
    lines = readiness_lines(s.standing(s.contracts(tmp_path)))
    assert [line.name for line in lines] == [name.strip() for name in NAMES.replace("\n", " ").split(";")]
    assert len({*LINES}) == 17


def test_a_sound_surface_meets_every_line_and_says_by_what(tmp_path: Path) -> None:
    lines = readiness_lines(s.standing(s.contracts(tmp_path)))
    assert {line.state for line in lines} == {State.MET}
    assert all(line.why and line.sources for line in lines)


def test_before_there_is_a_release_contract_lines_are_met_and_the_others_say_what_is_missing(
    tmp_path: Path,
) -> None:
    states = {line.name: line.state for line in readiness_lines(ReadinessFacts(s.contracts(tmp_path)))}
    met = {name for name, state in states.items() if state is State.MET}
    assert met == {
        "tasks explicit",
        "windows defined",
        "utility weights separate",
        "guardrails defined",
        "hard constraints are filters",
        "negatives handled",
        "business balanced with user value",
        "reranker for slates",
    }
    assert states["policy changes tracked as experiments"] is State.NOT_APPLICABLE
