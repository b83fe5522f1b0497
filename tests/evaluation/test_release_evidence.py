"""The evidence of a release and of its gate."""

from tasks.evaluation.verdicts import Outcome
from tests.evaluation import written


def test_the_headline_of_a_release_is_what_people_are_shown() -> None:
    release = written.document("release")
    shown = release.metrics()
    assert list(shown) == ["click_30m", "hide_2d"]
    assert shown["click_30m"]["test"]["auc"] == release.tasks[0].whole()["auc"].value


def test_the_gates_verdicts_come_back_as_outcomes() -> None:
    gates = written.document("gate").gates
    assert {verdict.outcome for verdict in gates} <= set(Outcome)
    assert any(verdict.observed is not None and verdict.observed.known for verdict in gates)
