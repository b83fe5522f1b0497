"""Every pin leads to MLflow where people open it, and nowhere else."""

import re
from dataclasses import replace
from datetime import date

import pytest

from tasks.evaluation.verdicts import Outcome
from tasks.promotion.pages.dossier import MlflowPages, list_runs, tabulate_verdicts
from tasks.reports.phrases import phrase_verdict
from tasks.stores.manifest import Manifest
from tests.promotion.pages.test_dossier import DOSSIER, MANIFEST
from tests.reports.vocabularies import WORDS, verdict

PAGES = MlflowPages("http://mlflow", "7")


def lineage(manifest: Manifest = MANIFEST, pages: MlflowPages = PAGES) -> str:
    """Return the table of a dossier on what a release is made from."""
    page = replace(DOSSIER, manifest=manifest, mlflow=pages).to_html()
    return page.partition("<h3>Made from</h3>")[2].partition("</table>")[0]


def test_each_part_shows_what_it_is_how_old_and_where() -> None:
    """Also where two versions of a trunk are pinned."""
    (part,) = MANIFEST.parts
    days = date(2026, 1, 1), date(2026, 2, 22)
    older = replace(part, version=2, newest_training_row=days[1], slices={"train": days, "test": days})
    table = lineage(replace(MANIFEST, parts=(part, older)))
    cells = [
        re.sub("<[^>]*>", "", cell)
        for cell in re.findall("<td.*?</td>", table.replace("\N{NO-BREAK SPACE}", " "))
    ]
    sha, both = "f" * 16, "2026-01-01 to 2026-02-22"
    assert cells[:6] == ["feed.task.click", "3", sha, "", "2026-03-01", "60 days"]
    slices = f"train {both}, test {both}"
    assert cells[6:12] == ["feed.task.click", "2", sha, slices, "2026-02-22", "67 days"]
    assert 'href="http://mlflow/#/models/feed.task.click/versions/3"' in table


def test_without_a_server_nothing_is_linked() -> None:
    assert "href" not in lineage(pages=MlflowPages())
    assert MlflowPages().run("a") == MlflowPages("http://mlflow").run("a") == PAGES.run("") == ""


@pytest.mark.parametrize("name", ["a b", "a#/x", 'a"><script>', "a?b"])
def test_a_name_cannot_leave_its_place_in_an_address(name: str) -> None:
    shown = PAGES.version(name, 1).removeprefix("http://mlflow/#/models/").removesuffix("/versions/1")
    assert not set(' #?"<>') & set(shown)


def test_a_run_is_named_once_with_the_gates_that_read_it() -> None:
    judged = [
        replace(verdict(gate, "click.rows", Outcome.PASS), evidence=run)
        for gate, run in (("data", "r1"), ("model", "r1"), ("shadow", "r2"), ("model", ""), ("data", "r1"))
    ]
    assert list_runs(judged) == {"r1": ["data", "model"], "r2": ["shadow"]}
    assert PAGES.run("r1") == "http://mlflow/#/experiments/7/runs/r1"


VERDICTS = (
    verdict("data", "click.rows", Outcome.PASS, 900, 900, 900),
    verdict("model", "click.auc", Outcome.WARN, 0.5, 0.4, 0.6),
    replace(verdict("model", "hide.auc", Outcome.BLOCK, 0.5, 0.4, 0.6), evidence="r1"),
    verdict("shadow", "overlap_at_k", Outcome.NO_RULE),
)


def test_what_passes_or_has_no_rule_stands_apart_and_the_worst_comes_first() -> None:
    table = tabulate_verdicts(VERDICTS, WORDS)
    assert [str(one.subject) for one, _ in table.notable] == ["hide.auc", "click.auc"]
    assert [str(one.subject) for one, _ in table.passed] == ["click.rows", "overlap_at_k"]
    assert all(sentence == phrase_verdict(one, WORDS) for one, sentence in table.passed)


def test_gates_are_numbered_and_both_are_counted() -> None:
    table = tabulate_verdicts(VERDICTS, WORDS)
    assert table.gates == {"data": (0, 1), "model": (1, 2), "shadow": (2, 1)}
    assert table.outcomes == [("block", 1), ("warn", 1), ("pass", 1), ("no_rule", 1)]


def test_without_a_verdict_the_table_is_empty() -> None:
    table = tabulate_verdicts([], WORDS)
    assert (table.notable, table.passed, table.gates, table.outcomes) == ([], [], {}, [])
