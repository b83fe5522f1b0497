"""Whose an event is that no task of a surface names."""

from pathlib import Path

import pytest

from tasks.contracts.event_names import describe_strange_events, events_elsewhere

SURFACES = Path(__file__).parents[2] / "surfaces"


def test_the_events_of_other_surfaces_are_those_that_they_declare() -> None:
    found = events_elsewhere(SURFACES, "home_feed")
    assert found["long_view"] == "short_video"
    assert "home_feed" not in found.values()


@pytest.mark.parametrize("content", [b"tasks: [", b"\xff", b"{}", b""])
def test_a_surface_whose_tasks_cannot_be_read_declares_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "tasks.yaml").write_bytes(content)
    assert events_elsewhere(tmp_path, "home_feed") == {}
    assert events_elsewhere(tmp_path / "nowhere", "home_feed") == {}


def test_a_name_that_no_surface_knows_is_told_with_the_nearest_of_all() -> None:
    counts = {"wtach": 3, "zzz": 1, "x" * 100_000: 1}
    (sentence,) = describe_strange_events(counts, ["click"], {"watch": "short_video"})
    assert sentence.startswith(
        "events that no task of any surface reads: wtach (3, is it 'watch'?), zzz (1), xxx"
    )
    assert len(sentence) < 200
