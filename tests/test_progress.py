"""Shares of nested parts, and who hears of them."""

import pytest

from tasks.progress import listening, part, report


def heard_of_nested_parts() -> list[tuple[tuple[str, ...], float]]:
    heard: list[tuple[tuple[str, ...], float]] = []
    with listening(lambda words, share: heard.append((words, share))):
        report("plan", done=0, of=4)
        with part("train", "click", done=1, of=4):
            report("trial 1", done=0, of=2)
            with part("trial 2", done=1, of=2):
                report("rows", done=1, of=2)
        report("gate", done=3, of=4)
    report("later", done=1, of=1)
    return heard


def test_a_report_divides_the_part_around_it() -> None:
    assert heard_of_nested_parts() == [
        (("plan",), 0.0),
        (("train", "click"), 0.25),
        (("train", "click", "trial 1"), 0.25),
        (("train", "click", "trial 2"), 0.375),
        (("train", "click", "trial 2", "rows"), 0.4375),
        (("gate",), 0.75),
    ]


def test_nobody_has_to_listen() -> None:
    with part("train", done=0, of=1):
        report("rows", done=1, of=0)
    assert heard_of_nested_parts()[0] == (("plan",), 0.0)  # a later listener hears of the whole


@pytest.mark.parametrize(("done", "of", "share"), [(3, 2, 1.0), (-1, 2, 0.0), (1, 0, 0.0)])
def test_a_share_lies_between_none_and_all(done: float, of: float, share: float) -> None:
    heard = list[float]()
    with listening(lambda _, share: heard.append(share)):
        report("rows", done=done, of=of)
    assert heard == [share]
