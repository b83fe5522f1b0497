"""What changed against the champion, in at most six rows."""

from dataclasses import replace
from datetime import timedelta

from tasks.contracts import SlateSpec, UtilitySpec
from tasks.contracts.metrics import MetricKind
from tasks.evaluation.evidence import Measured
from tasks.evaluation.subjects import ALL, Subject
from tasks.evaluation.verdicts import Estimate
from tasks.promotion.pages.changes import (
    changed_weights,
    count_worths,
    describe_largest_change,
    list_changes,
    list_largest_changes,
)
from tasks.stores.manifest import Manifest, PinnedPart, PinnedSnapshot, Role
from tests.promotion.pages.test_dossier import AS_OF, MANIFEST
from tests.reports.vocabularies import WORDS
from tests.verdicts import subject

CONTRACTS = {"tasks": "t", "utility": "u", "slate": "s", "surface": "x"}


def part(task: str, version: int, role: Role = Role.TASK) -> PinnedPart:
    return PinnedPart(f"feed.{role.value}.{task}", version, f"{version}" * 64, role, task)


def manifest(*parts: PinnedPart, **changed: object) -> Manifest:
    plain = replace(
        MANIFEST, contracts=CONTRACTS, parts=parts, code={"code/release_a1/ranking/utility.py": "1"}
    )
    return replace(plain, **changed)  # type: ignore[arg-type]  # a table of fields


def utility(**weights: object) -> UtilitySpec:
    plain = {"policy": "toy", "version": 1, "owner": "ranking", "approvals": ["product"]}
    return UtilitySpec.model_validate({**plain, "weights": weights})


CHAMPION = manifest(part("click", 1), part("hide", 1))
CLICK = utility(click=1.0)


def said(
    release: Manifest, own: UtilitySpec = CLICK, champion: UtilitySpec = CLICK
) -> dict[str, tuple[str, bool]]:
    return {one.of: (one.words, one.differs) for one in list_changes(release, CHAMPION, own, champion)}


def test_without_a_champion_there_is_nothing_to_compare() -> None:
    assert list_changes(CHAMPION, None, CLICK, None) == ()


def test_the_same_release_differs_in_nothing() -> None:
    assert said(CHAMPION) == {
        "data": ("the same labels, as of 2026-05-01", False),
        "models": ("all are the champion's", False),
        "policy": ("the same", False),
        "slate": ("the same", False),
        "code": ("the same", False),
    }


def test_each_difference_has_its_row_and_there_are_at_most_six() -> None:
    release = manifest(
        part("click", 2),
        part("hide", 1),
        part("share", 1),
        snapshot=PinnedSnapshot("def456", "c", "d2", AS_OF + timedelta(days=2)),
        contracts={**CONTRACTS, "tasks": "t2", "utility": "u2", "slate": "s2"},
        code={"code/release_b2/ranking/utility.py": "2", "code/release_b2/columns.py": "1"},
    )
    assert said(release, utility(click=1.6, share=2.0), utility(click=0.8, hide=-3.0)) == {
        "data": ("labels as of 2026-05-03, 2 days newer", True),
        "models": ("click, share are new, 1 is the champion's", True),
        "tasks": ("tasks.yaml differs: what an outcome means", True),
        "policy": ("click 0.8 -> 1.6; share none -> 2; hide -3 -> none", True),
        "slate": ("slate.yaml differs", True),
        "code": ("the code that scores differs: columns.py, ranking/utility.py", True),
    }


def test_another_map_makes_a_head_new_and_a_task_may_be_gone() -> None:
    release = manifest(part("click", 1), part("click", 2, Role.CALIBRATOR))
    assert said(release)["models"] == ("click is new, hide is gone", True)


def test_the_same_code_below_another_folder_is_the_same() -> None:
    release = manifest(*CHAMPION.parts, code={"code/release_b2/ranking/utility.py": "1"})
    assert said(release)["code"] == ("the same", False)


def test_older_labels_other_rows_and_a_policy_of_other_words_say_so() -> None:
    older = manifest(*CHAMPION.parts, snapshot=PinnedSnapshot("d", "c", "d", AS_OF - timedelta(days=1)))
    assert said(older)["data"] == ("labels as of 2026-04-30, 1 day older", True)
    other = manifest(*CHAMPION.parts, snapshot=PinnedSnapshot("d", "c", "d", AS_OF))
    assert said(other)["data"] == ("labels as of 2026-05-01, other rows", True)
    reworded = manifest(*CHAMPION.parts, contracts={**CONTRACTS, "utility": "u2"})
    assert said(reworded)["policy"] == ("utility.yaml differs, its weights are the same", True)


def test_many_weights_are_counted() -> None:
    many = utility(**{f"t{n}": 2.0 for n in range(9)})
    assert len(changed_weights(many, CLICK)) == 10
    release = manifest(*CHAMPION.parts, contracts={**CONTRACTS, "utility": "u2"})
    assert said(release, many)["policy"][0].endswith("and 4 more")


SLATE = SlateSpec.model_validate({"policy": "s", "version": 1, "length": 3})


def share(value: str, before: float | None, after: float, *, kind: MetricKind = MetricKind.SHARE) -> Measured:
    candidate, of_champion = (None if of is None else Estimate(of, of, of, 9) for of in (after, before))
    return Measured(
        Subject(kind, column="source", value=value), ALL, "release 2", candidate, of_champion, None
    )


def worth_of(policy: UtilitySpec) -> dict[str, float]:
    worths = count_worths(policy, SLATE)
    assert worths is not None
    return {term.task: term.worth for term in worths.policies[0].terms}


def test_worth_is_counted_in_the_first_gain() -> None:
    assert worth_of(utility(hide=-4.0, click=0.5, buy=20.0)) == {"hide": -8.0, "click": 1.0, "buy": 40.0}


def test_where_nothing_weighs_anything_there_is_no_unit() -> None:
    assert count_worths(utility(click=0.0), SLATE) is None


def test_those_that_move_most_come_first_and_those_that_stay_are_left_out() -> None:
    rows = [
        share("a", 0.1, 0.1),
        share("b", 0.1, 0.2),
        share("c", 0.5, 0.1),
        share("d", None, 0.1),
        share("e", 0.1, 0.9, kind=MetricKind.ENTROPY),
        share("f", float("nan"), 0.1),
    ]
    assert [one.subject.value for one in list_largest_changes(rows)] == ["c", "b"]
    assert len(list_largest_changes([share(str(n), 0.0, 0.01 * n) for n in range(30)])) == 10


def test_a_mover_is_said_in_words_and_as_shares() -> None:
    before, rise = Estimate(0.2, 0.18, 0.22, 9), Estimate(0.25, 0.2, 0.3, 9)
    ads = replace(share("ads", None, 0.25), baseline=before, relative=rise)
    said = describe_largest_change(ads, WORDS)
    assert (said.metric, said.meaning) == ("share of ads in source", "share of examined impressions")
    assert (said.before, said.now, said.change) == ("20 % (18 to 22 %)", "25 %", "+25.0 % (+20.0 to +30.0 %)")


def test_a_mover_of_no_metric_and_without_a_figure_has_no_words() -> None:
    said = describe_largest_change(replace(share("ads", None, 0.25), subject=subject("odd")), WORDS)
    assert (said.meaning, said.before, said.now, said.change) == ("", "", "0.25", "")
