"""All verdicts: what is looked at apart from what passed, with a number for each gate."""

from dataclasses import replace

from tasks.evaluation.verdicts import Outcome
from tasks.promotion.pages.lineage import MlflowPages
from tasks.promotion.pages.verdict_table import tabulate_verdicts
from tasks.reports.phrases import phrase_verdict
from tests.reports.vocabularies import WORDS, verdict

VERDICTS = (
    verdict("data", "click.rows", Outcome.PASS, 900, 900, 900),
    verdict("model", "click.auc", Outcome.WARN, 0.5, 0.4, 0.6),
    replace(verdict("model", "hide.auc", Outcome.BLOCK, 0.5, 0.4, 0.6), evidence="r1"),
    verdict("shadow", "overlap_at_k", Outcome.NO_RULE),
)


def test_what_passes_or_has_no_rule_stands_apart_and_the_worst_comes_first() -> None:
    table = tabulate_verdicts(VERDICTS, WORDS, MlflowPages("http://mlflow", "7"))
    assert [str(row.verdict.subject) for row in table.looked_at] == ["hide.auc", "click.auc"]
    assert [str(row.verdict.subject) for row in table.passed] == ["click.rows", "overlap_at_k"]
    assert table.looked_at[0].address == "http://mlflow/#/experiments/7/runs/r1"
    assert [row.sentence for row in table.passed] == [
        phrase_verdict(row.verdict, WORDS) for row in table.passed
    ]


def test_gates_are_numbered_and_both_are_counted() -> None:
    table = tabulate_verdicts(VERDICTS, WORDS, MlflowPages())
    assert table.gates == [(0, "data", 1), (1, "model", 2), (2, "shadow", 1)]
    assert table.outcomes == [("block", 1), ("warn", 1), ("pass", 1), ("no_rule", 1)]
    assert [row.gate for row in table.looked_at] == [1, 1]


def test_without_a_verdict_the_table_is_empty() -> None:
    table = tabulate_verdicts([], WORDS, MlflowPages())
    assert (table.looked_at, table.passed, table.gates, table.outcomes) == ([], [], [], [])
