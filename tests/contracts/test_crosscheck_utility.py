"""What a policy asks of tasks and surface; single problems stand in test_crosscheck.py."""

from pathlib import Path

from tasks.contracts import check_surface
from tests.contracts.files import Files, setting, write_surface


def test_a_context_behind_one_that_matches_more_can_never_match(tmp_path: Path) -> None:
    contexts = [
        {"name": "any_new", "when": {"tenure": ["new", "returning"]}, "weights": {"return": -9.0}},
        {"name": "new_eu", "when": {"tenure": "new", "region": "eu"}, "weights": {"return": -12.0}},
    ]
    problems = check_surface(write_surface(tmp_path, setting("utility.contexts", contexts)), "feed").problems
    assert [p.hint for p in problems] == ["can never match: 'any_new' matches all of it first"]


def test_what_a_policy_asks_of_tasks_is_checked_where_the_surface_cannot_be_read(tmp_path: Path) -> None:
    def change(files: Files) -> None:
        files["surface"]["spli"] = {}
        files["utility"]["weights"]["clik"] = 1.0
        files["utility"]["guardrails"] = []

    problems = check_surface(write_surface(tmp_path, change), "feed").problems
    assert [(p.file, p.field) for p in problems] == [
        ("surface.yaml", "spli"),
        ("utility.yaml", "weights.clik"),
        ("utility.yaml", "guardrails"),
    ]
