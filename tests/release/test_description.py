"""What a person reads of a release: figures with intervals, weights with their reasons, exact pins."""

from collections.abc import Sequence
from datetime import UTC, date, datetime

import pytest

from tasks.contracts import UtilitySpec
from tasks.contracts.training import HeadKind
from tasks.evaluation.evidence import PinnedModel
from tasks.evaluation.figures import Figure, TaskFigures
from tasks.evaluation.release_evidence import FactorModelEvidence
from tasks.evaluation.subjects import ALL, Subject
from tasks.release.description import describe, describe_verdict, markdown_table, weight_terms
from tasks.stores.manifest import Manifest, PinnedPart, PinnedSnapshot, Role

AS_OF = datetime(2026, 5, 11, 4, tzinfo=UTC)
DAYS = (date(2026, 5, 1), date(2026, 5, 7))
UTILITY = UtilitySpec.model_validate(
    {
        "policy": "toy-utility",
        "version": 7,
        "owner": "ranking",
        "approvals": ["product"],
        "weights": {
            "click_30m": 0.4,
            "buy_7d": {"weight": 20.0, "times": "margin", "why": "worth 20 clicks | at margin"},
        },
        "contexts": [{"name": "checkout", "when": {"page": "checkout"}, "weights": {"buy_7d": 40.0}}],
    }
)


AUC = Figure(Subject("auc"), ALL, 0.7123, 0.7, 0.72, 90, rows=1200, events=34)


def text(
    *,
    backfilled: bool = False,
    factor_models: Sequence[FactorModelEvidence] = (),
    kind: HeadKind = "binary",
    row: Figure = AUC,
) -> str:
    manifest = Manifest(
        surface="toy",
        as_of=AS_OF,
        snapshot=PinnedSnapshot("0123456789abcdef", "a" * 64, "b" * 64, AS_OF),
        contracts={},
        test=DAYS,
        parts=(PinnedPart("toy.task.click_30m", 3, "c" * 64, Role.TASK, "click_30m"),),
        files={},
        code={},
        backfilled=backfilled,
    )
    figures = TaskFigures(
        task="click_30m",
        kind=kind,
        days=DAYS,
        newest_training_row=date(2026, 4, 20),
        rows=1200,
        positives=34,
        figures=(row,),
    )
    return describe(manifest, UTILITY, [figures], factor_models=factor_models).replace("&emsp;", "")


def test_it_names_the_release_its_labels_and_its_test_days() -> None:
    assert "Release of **toy** as of 2026-05-11 04:00 UTC." in text()
    assert "snapshot `0123456789abcdef`, tested on 2026-05-01 to 2026-05-07" in text()


def test_figures_carry_their_interval_and_what_is_unknown_says_so() -> None:
    assert "| click_30m | 0.712 [0.7, 0.72] | inconclusive | 1,200 | 34 |" in text()


@pytest.mark.parametrize(
    ("kind", "metric", "said"),
    [
        ("value", "mae", "mean absolute error 12.3 [11, 14] | inconclusive"),
        ("quantile", "pinball_loss", "pinball loss 12.3 [11, 14] | -"),
        ("ranking", "auc_by_request", "AUC within requests 12.3 [11, 14] | -"),
    ],
)
def test_a_head_that_has_no_auc_is_told_by_its_own_metric(kind: HeadKind, metric: str, said: str) -> None:
    row = Figure(Subject(metric), ALL, 12.345, 11, 14, 90, rows=1200, events=34)
    assert f"| click_30m | {said} | 1,200 | 34 |" in text(kind=kind, row=row)


def test_it_says_with_which_version_of_a_parent_a_joint_was_judged() -> None:
    assert "judged" not in text()
    pinned = [
        PinnedModel(name=f"toy.{kind}.buy_7d", version=4, sha256="d" * 64) for kind in ("task", "calibrator")
    ]
    factor_model = FactorModelEvidence(
        task="back_30d", parent="buy_7d", model=pinned[0], calibrator=pinned[1], slices={"train": DAYS}
    )
    link = "[toy.task.buy_7d version 4](#/models/toy.task.buy_7d/versions/4)"
    said = f"The joint of back_30d is measured with {link}, trained up to 2026-05-07."
    assert f"\n\n{said}\n\n" in text(factor_models=[factor_model])


def test_every_weight_is_shown_with_its_reason_in_cells_that_hold() -> None:
    assert "| buy_7d | 20 x margin | worth 20 clicks / at margin |" in text()
    assert "| buy_7d in checkout | 40 |  |" in text()


def test_columns_of_a_table_stand_apart_where_it_is_shown_without_padding() -> None:
    assert [*markdown_table(["a", "b"], [["1", "2"]], spaced=True)] == [
        "| a | &emsp;b |",
        "| --- | --- |",
        "| 1 | &emsp;2 |",
    ]


def test_pins_are_exact_and_lead_to_their_versions() -> None:
    link = "[toy.task.click_30m](#/models/toy.task.click_30m/versions/3)"
    assert f"| {link} | 3 | `cccccccccccc` |" in text()


def test_the_verdict_stands_first_with_up_to_five_reasons_to_hold() -> None:
    reasons = [f"reason {number}" for number in range(7)]
    first, *rest = describe_verdict("The rest.", verdict="hold", champion=2, reasons=reasons).splitlines()
    assert first == "Verdict of the gates: **hold**, compared with champion 2."
    assert rest == [*(f"- reason {number}" for number in range(5)), "", "The rest."]


def test_a_first_verdict_says_that_there_was_no_champion() -> None:
    said = describe_verdict("The rest.", verdict="promote", champion=None, reasons=())
    assert said == "Verdict of the gates: **promote**, without a champion to compare with.\n\nThe rest."


def test_a_backfilled_release_says_so() -> None:
    assert "UTC, backfilled." in text(backfilled=True)
    assert "backfilled" not in text()


def test_what_else_decides_is_named_with_the_weights() -> None:
    plain = UTILITY.model_dump(mode="json") | {
        "offset": {"scale": 0.001},
        "multipliers": [{"name": "less", "when": {"control": ["less"]}, "factor": 0.3}],
        "relevance_floor": {"click_30m": 0.01},
        "hard_constraints": [{"name": "unsafe", "drop_when": {"column": "unsafe", "equals": True}}],
        "contexts": [
            {
                "name": "child",
                "when": {"mode": ["child"]},
                "relevance_floor": {"click_30m": {"quantile": 0.2}},
                "hard_constraints": [{"name": "rated", "keep_when": {"column": "age", "below": 12}}],
                "slate": {"length": 8},
            }
        ],
    }
    rows = list(weight_terms(UtilitySpec.model_validate(plain)))
    assert [row[:2] for row in rows[2:]] == [
        ["offset", "scale 0.001"],
        ["multiplier less", "x 0.3 where control is less"],
        ["floor click_30m", "0.01"],
        ["constraint unsafe", "drops where unsafe equals True"],
        ["floor click_30m in child", "quantile 0.2"],
        ["constraint rated in child", "keeps where age below 12.0"],
        ["slate length in child", "8"],
    ]
