"""The promotion request: refused early where the move would refuse, and shown as what it is.

Which release a retrain proposes by itself; the second one of the mini feed changes the utility policy.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.errors import ContractError, GateRefused
from tasks.evaluation.verdicts import Outcome
from tasks.pipeline import recheck
from tasks.promotion.moves import request
from tasks.promotion.moves import request as promotion_request
from tasks.promotion.moves.request import RequestedPromotion, write_request
from tasks.promotion.moves.rules import Override, PromotionRequest, PromotionSupport, PromotionTerms
from tasks.promotion.pages.changes import Change
from tasks.promotion.pages.first_screen import FirstScreen
from tasks.release.description import plain_markdown
from tasks.reports.charts import Rail
from tasks.stores.audit import Entry, Kind
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tests.contracts.files import setting
from tests.feeds import mini
from tests.feeds.mini import NAME, Retrained, step_runs
from tests.promotion.moves.test_rules import EVIDENCE, a_case
from tests.reports.vocabularies import verdict

TESTED = PromotionSupport(experiment="feed-142", why="carts rose")
RUN = "manual__2026-02-12T00:00:00+00:00"


@pytest.fixture(scope="module")
def requested(second_retrain: Retrained) -> RequestedPromotion:
    """The request of release 2, which changes the utility policy of champion 1."""
    return promotion_request.make(second_retrain.workspace, release=2, support=TESTED, evaluate_gate=recheck)


def page(workspace: Workspace, requested: RequestedPromotion) -> str:
    return promotion_request.show(
        workspace,
        release=requested.release,
        evidence=requested.evidence,
        support=TESTED,
        links={"dossier": "http://mlflow/7"},
    )


def test_a_case_is_about_a_release_beside_the_champion_with_the_gates_last_run(
    second_retrain: Retrained, requested: RequestedPromotion
) -> None:
    assert (requested.release, requested.champion) == (2, 1)
    assert requested.run_id == step_runs(second_retrain.workspace, "gate", release=2)[-1]


def test_what_the_move_would_refuse_is_refused_before_anybody_is_asked(second_retrain: Retrained) -> None:
    with pytest.raises(ContractError, match="needs a reason"):
        promotion_request.make(
            second_retrain.workspace, release=2, support=replace(TESTED, why=" "), evaluate_gate=recheck
        )
    with pytest.raises(ContractError, match="name the online experiment"):
        promotion_request.make(
            second_retrain.workspace,
            release=2,
            support=PromotionSupport(why="carts rose"),
            evaluate_gate=recheck,
        )


def test_its_page_shows_the_verdict_the_change_its_support_and_the_evidence(
    second_retrain: Retrained, requested: RequestedPromotion
) -> None:
    shown = page(second_retrain.workspace, requested).splitlines()
    assert shown[0].startswith("**promote**, compared with champion 1: ")
    assert shown[2].startswith("observed utility ")
    assert "It changes utility.yaml. Supported by the experiment feed-142." in shown
    assert "| policy | click_30m 0.8 -> 1.6 |" in shown
    assert "| models | click_30m is new, 5 are the champion's |" in shown
    assert any(
        row.startswith("| hide_2d rate: events per examined impression: people hid it | ") for row in shown
    ), "the guardrails"
    (unharmed,) = [row for row in shown if row.startswith("No segment is harmed beyond its limit.")]
    assert unharmed.endswith(" 3 of 9 evaluated segments have inconclusive verdicts.")
    assert "[dossier](http://mlflow/7)" in shown
    assert shown[-1] == f"Evidence `{requested.evidence}`"
    assert len(shown) <= 40


def test_of_other_evidence_nothing_is_shown(second_retrain: Retrained, requested: RequestedPromotion) -> None:
    other = replace(requested, evidence="f" * 64)
    with pytest.raises(GateRefused, match="has changed since the request was made"):
        page(second_retrain.workspace, other)


def test_who_agreed_is_read_from_the_newest_answers_of_the_run(tmp_path: Path) -> None:
    workspace, audit = Workspace.open(NAME, home=tmp_path), Store.open(tmp_path).audit(NAME)
    for kind, by, role, run in (
        (Kind.APPROVE, "sam", "safety", RUN),
        (Kind.APPROVE, "ana", "product", RUN),
        (Kind.APPROVE, "bo", "legal", RUN),
        (Kind.REJECT, "bo", "legal", RUN),
        (Kind.APPROVE, "max", "product", "another run"),
    ):
        audit.append(Entry(kind, by, 2, 1, "why", "e", role=role, run=run), seen=audit.read())
    assert promotion_request.approvers(workspace, release=2, run=RUN) == "ana, sam"
    assert promotion_request.approvers(workspace, release=3, run=RUN) == ""


NONE = PromotionSupport(why="carts rose")
VERDICTS = (
    verdict("data", "click.rows", Outcome.PASS, 1200, 1200, 1200),
    verdict("model", "click.auc_drop", Outcome.PASS, 0.001, -0.002, 0.004),
    verdict("decision", "hide_rate", Outcome.WARN, 0.05, 0.01, 0.09),
    verdict("shadow", "overlap_at_k", Outcome.NO_RULE),
)


def a_rail(metric: str, outcome: str) -> Rail:
    return Rail(metric, "", outcome, "+5.0 % (+1.0 to +9.0 %)", "limit +4 %", 50.0, 40.0, 60.0, beyond=False)


FIRST = FirstScreen(
    verdict="promote",
    sentence="No verdict holds it.",
    primary=("observed utility +5.0 % vs champion 3: pass",),
    holding=(),
    more_holding=0,
    next_step="Ask.",
    changes=(
        Change("policy", "click 0.4 -> 1.6; share none -> 2", differs=True),
        Change("code", "the same", differs=False),
    ),
    rails=(a_rail("hide_rate", "warn"), a_rail("click_rate", "pass")),
    harmed=("hide rate, tenure = new: +9.0 % vs champion 3: warning",),
    more_harmed=0,
)


def written(
    request: PromotionRequest,
    *,
    first: FirstScreen = FIRST,
    support: PromotionSupport = NONE,
    links: dict[str, str] | None = None,
) -> str:
    gate = request.gate.model_copy(update={"gates": VERDICTS})
    asked = replace(request, gate=gate, terms=replace(request.terms, support=support))
    return write_request(asked, first, links=links or {})


def test_the_whole_page_reads_like_this() -> None:
    request = a_case(changed=("utility",), warnings=("decision: hide rate +5.0 % vs champion 3: warning",))
    links = {"release 4": "http://mlflow/4", "champion 3": "http://mlflow/3", "dossier": ""}
    assert written(request, support=TESTED, links=links) == "\n".join(
        [
            "**promote**, compared with champion 3: 2 pass, 1 warning, 1 with no limit set.",
            "",
            "observed utility +5.0 % vs champion 3: pass",
            "",
            "Reason given for the promotion: carts rose",
            "",
            "Warnings",
            "- decision: hide rate +5.0 % vs champion 3: warning",
            "",
            "| component | changes since champion 3 |",
            "| --- | --- |",
            "| policy | click 0.4 -> 1.6; share none -> 2 |",
            "| code | the same |",
            "",
            "| metric | observed | limit | outcome |",
            "| --- | --- | --- | --- |",
            "| hide_rate | +5.0 % (+1.0 to +9.0 %) | limit +4 % | warning |",
            "| click_rate | +5.0 % (+1.0 to +9.0 %) | limit +4 % | pass |",
            "",
            "- Harmed: hide rate, tenure = new: +9.0 % vs champion 3: warning",
            "",
            "It changes utility.yaml. Supported by the experiment feed-142.",
            "",
            "[release 4](http://mlflow/4) · [champion 3](http://mlflow/3)",
            "",
            f"Evidence `{EVIDENCE}`",
        ]
    )


def test_a_waiver_is_shown_as_what_it_is() -> None:
    shown = written(a_case(changed=("tasks", "slate")), support=replace(NONE, waiver="a legal duty"))
    assert "It changes tasks.yaml, slate.yaml. Without an experiment: a legal duty" in shown


def test_a_release_that_changes_no_policy_says_so() -> None:
    assert "Tasks, utility and slate policy are those of champion 3." in written(a_case())


def test_the_first_release_has_nothing_to_change() -> None:
    shown = written(a_case(champion=None), first=replace(FIRST, changes=()))
    assert "**promote**, compared with no champion: 2 pass" in shown
    assert "It is the first" in shown
    assert "changes since" not in shown


def test_a_reason_cannot_pass_for_more_of_the_page() -> None:
    shown = written(
        a_case(), support=PromotionSupport(why="carts rose\n\n## Evidence\n\n| hide_rate | -90% |")
    )
    assert "promotion: carts rose ## Evidence | hide_rate | -90% |\n" in shown


def test_words_of_a_contract_cannot_pass_for_markup() -> None:
    odd = replace(
        FIRST, primary=("<img src=x>",), harmed=("<script>",), changes=(Change("<b>", "a | b", differs=True),)
    )
    shown = written(a_case(), first=odd)
    for markup in ("<img", "<script", "<b>"):
        assert markup not in shown
    assert "| &lt;b> | a / b |" in shown


def test_where_nobody_is_harmed_that_is_said() -> None:
    assert "No segment is harmed beyond its limit." in written(a_case(), first=replace(FIRST, harmed=()))


def test_a_page_stays_short_whatever_there_is_to_say() -> None:
    many = replace(
        FIRST,
        changes=FIRST.changes * 3,
        rails=tuple(a_rail(f"metric_{n}", "warn") for n in range(50)),
        harmed=tuple(f"segment {n}" for n in range(8)),
        more_harmed=20,
    )
    warnings = tuple(f"warning {n}" for n in range(50))
    shown = written(
        a_case(changed=("utility",), warnings=warnings), first=many, links={"release 4": "http://mlflow/4"}
    )
    lines = shown.splitlines()
    assert len(lines) <= 40
    assert "- and 47 more, in the dossier" in lines
    assert "- and 25 more segments, in the dossier" in lines
    assert "| metric_5 | +5.0 % (+1.0 to +9.0 %) | limit +4 % | warning |" in lines


def test_a_canary_and_an_override_are_said_with_every_verdict_that_is_lifted() -> None:
    over = Override(
        "safety", "a <b>sale tonight", ("shadow: overlap 20 %: block", "decision: buy rate: block")
    )
    lines = written(a_case(verdict="hold", terms=PromotionTerms(0.05, over))).splitlines()
    assert "Requested as the **canary**: 0.05 of the users, next to champion 3." in lines
    (asked,) = [line for line in lines if "Override" in line]
    assert asked == "**Override** requested by safety: a &lt;b>sale tonight. It lifts"
    assert [line for line in lines if line.startswith("- ") and line.endswith(": block")] == [
        f"- {plain_markdown(verdict)}" for verdict in over.verdicts
    ]


def test_a_promotion_as_it_is_says_nothing_of_either() -> None:
    assert "canary" not in written(a_case())
    assert "Override" not in written(a_case())


def test_a_guardrail_is_said_in_its_own_words_and_what_was_not_measured_says_so() -> None:
    odd = replace(a_rail("hide_rate", "metric_missing"), meaning="who says no is heard", observed="")
    shown = written(
        a_case(), first=replace(FIRST, rails=(odd,), harmed=(), unharmed="No segment was evaluated.")
    )
    assert "| hide_rate: who says no is heard | not measured | limit +4 % | not measured |" in shown
    assert "No segment was evaluated." in shown.splitlines()


MODEL = f"{NAME}.release"


@pytest.fixture
def workspace(second_retrain: Retrained, tmp_path: Path) -> Workspace:
    return mini.changed(second_retrain.workspace, tmp_path, surface=setting("promotion", {"propose": True}))


@pytest.fixture
def no_champion(workspace: Workspace) -> Iterator[Workspace]:
    """The same while no release is champion."""
    registry = workspace.store.registry
    registry.client.delete_registered_model_alias(MODEL, "champion")
    yield workspace
    registry.set_alias(registry.part(MODEL, 1), "champion")


def why_not(workspace: Workspace, release: int) -> str:
    found = request.propose(workspace, release=release)
    assert not found.proposed
    return found.why


def test_a_release_that_its_gates_let_through_is_proposed_with_what_it_is(no_champion: Workspace) -> None:
    found = request.propose(no_champion, release=2)
    assert (found.release, found.proposed) == (2, True)
    assert found.why == "retrained as of 2026-02-12T00:00:00Z, and no gate holds it"


def test_nothing_is_proposed_where_the_surface_does_not_ask_for_it(second_retrain: Retrained) -> None:
    assert "promotion.propose" in why_not(second_retrain.workspace, 2)


def test_a_change_of_policy_is_left_to_a_person_who_names_what_supports_it(workspace: Workspace) -> None:
    assert why_not(workspace, 2).startswith("it changes utility.yaml of champion 1")


def test_a_release_that_somebody_went_back_from_is_not_proposed_again(no_champion: Workspace) -> None:
    assert why_not(no_champion, 1) == "it was champion before"


@pytest.mark.parametrize(
    ("tag", "value", "why"),
    [("verdict", "hold", "its gates hold it"), ("backfilled", "true", "a backfill made it")],
)
def test_what_is_held_or_backfilled_is_never_proposed(
    no_champion: Workspace, tag: str, value: str, why: str
) -> None:
    registry = Store.open(no_champion.home).registry
    part = registry.part(MODEL, 2)
    before = registry.tags(part)[tag]
    registry.set_tags(part, {tag: value})
    try:
        assert why_not(no_champion, 2) == why
    finally:
        registry.set_tags(part, {tag: before})
