"""docs/failures.md is what the command prints; what Equipoise itself makes of the same logs is promoted."""

from collections.abc import Mapping

from benchmarks.failures.failure import Demonstration
from benchmarks.failures.page import PAGE, PICTURES, page, pictures, table
from benchmarks.failures.world import FailureWorld


def test_the_challenger_of_the_same_week_is_promoted(failure_world: FailureWorld) -> None:
    judged = failure_world.gate.judge(failure_world.challenger, first=False)
    assert judged.decision.verdict == "promote"


def test_all_ten_are_stopped_in_the_order_of_the_rules(shown: Mapping[str, Demonstration]) -> None:
    assert list(shown) == [f"F{number}" for number in range(1, 11)]


def test_the_page_holds_the_table_that_the_command_prints(
    failure_world: FailureWorld, shown: Mapping[str, Demonstration]
) -> None:
    text, every = PAGE.read_text(encoding="utf-8"), list(shown.values())
    assert "\n".join(table(every, failure_world.words)) in text
    assert page(text, every, failure_world.words) == text


def test_its_pictures_are_those_of_the_figures(
    failure_world: FailureWorld, shown: Mapping[str, Demonstration]
) -> None:
    drawn = {file.name: file.read_text(encoding="utf-8") for file in PICTURES.glob("*.svg")}
    assert drawn == pictures(list(shown.values()), failure_world.words)
