"""The edges of a promotion and a rollback, and what an approval makes of an answer."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.errors import ContractError, GateRefused, StoreError
from tasks.stores.audit import Kind
from tasks.stores.store import Store
from tests.dags.conftest import REPOSITORY, parse, steps_of, write_surface
from tests.stores.registered import MODEL, new_aliases, register

BY_HAND = ["policy_change", "promote", "rollback"]
ROLES = {"product": "ana", "safety": "sam"}
EVIDENCE = "e" * 64


@pytest.fixture(scope="module")
def own(airflow_home: object) -> SimpleNamespace:
    """The repository's own surfaces; home_feed's policy names two roles."""
    return parse(REPOSITORY / "surfaces")


@pytest.fixture
def steps(own: SimpleNamespace) -> dict[str, Any]:
    return dict(steps_of(own.dags["home_feed__promote"]))


def test_each_role_of_the_policy_is_asked_between_case_and_move(steps: dict[str, Any]) -> None:
    before = {name: step.upstream_task_ids for name, step in steps.items()}
    assert before == {
        "request": set(),
        "approve_product": {"request"},
        "approve_safety": {"request"},
        "move": {"request", "approve_product", "approve_safety"},
    }


def test_a_role_that_the_policy_does_not_name_is_not_asked(bag: SimpleNamespace) -> None:
    assert set(steps_of(bag.dags["feed__promote"])) == {"request", "approve_product", "move"}


@pytest.fixture(scope="module")
def declared(airflow_home: object, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The promotion of a surface that declares a ramp and an override."""
    surfaces = tmp_path_factory.mktemp("declared")
    more = "ramp: {stages: [{share: 0.05, harm: 1}], guardrails: [click_30m_rate]}\noverride: {role: safety, gates: [decision, shadow]}"
    write_surface(surfaces, "feed", more=more)
    return parse(surfaces).dags["feed__promote"]


def test_the_role_of_an_override_is_asked_besides_the_policys(declared: Any) -> None:
    steps = dict(steps_of(declared))
    assert set(steps) == {"request", "approve_product", "approve_safety", "move"}
    assert [steps[f"approve_{role}"].of_override for role in ROLES] == [False, True]


def test_where_nothing_is_overridden_the_step_of_its_role_is_skipped_and_asks_nobody(
    airflow_home: object,
) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    from dags.approval import Approval

    case = {"release": 3, "override": "", "share": None}
    asked: dict[str, Any] = {"surface": "feed", "role": "safety", "reviewers": ["sam"], "request": case}
    approval = Approval(task_id="approve_safety", of_override=True, **asked)
    context: Any = {}
    with pytest.raises(AirflowSkipException, match="Nothing is overridden, so safety need not approve"):
        approval.execute(context)


def test_the_form_has_stage_and_override_only_where_they_are_declared(
    own: SimpleNamespace, declared: Any
) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    assert not {"stage", "override"} & set(own.dags["home_feed__promote"].params)
    stage = declared.params.get_param("stage")
    assert [stage.resolve(value) for value in (None, "canary", "champion")] == [None, "canary", "champion"]
    with pytest.raises(ParamValidationError):
        stage.resolve("half")
    assert "0.05 of the users" in stage.description
    assert "decision, shadow" in declared.params.get_param("override").description


def test_what_the_form_asks_for_is_handed_on_and_empty_is_nothing(airflow_home: object) -> None:
    from dags.approval import support
    from tasks.promotion.moves.rules import PromotionSupport

    form = {"experiment": "", "waiver": None, "override": "a sale", "stage": "champion"}
    assert support(form) == PromotionSupport(override="a sale", stage="champion")
    assert support({"experiment": "feed-142", "waiver": None}) == PromotionSupport("feed-142")


def test_only_the_roles_reviewers_may_answer(steps: dict[str, Any]) -> None:
    for role, user in ROLES.items():
        assert steps[f"approve_{role}"].assigned_users == [{"id": user, "name": user}]


def test_a_reviewer_sees_the_page_and_sends_what_he_was_shown_with_his_reason(steps: dict[str, Any]) -> None:
    approval = steps["approve_product"]
    assert set(approval.params) == {"version", "evidence", "reason"}
    assert approval.options == ["Approve", "Reject"]
    assert approval.defaults is None  # silence is no answer


def test_an_answer_that_cannot_be_taken_is_asked_for_again_within_the_surfaces_time(
    steps: dict[str, Any],
) -> None:
    approval = steps["approve_safety"]
    assert approval.retries >= 10
    assert approval.response_timeout == timedelta(days=3)
    decide = approval.retry_policy.evaluate
    assert decide(ContractError("no reason"), 1, 20).action.value != "fail"
    assert decide(StoreError("away"), 1, 20).action.value != "fail"
    assert decide(GateRefused("a Reject"), 1, 20).action.value == "fail"


def test_the_move_runs_unless_somebody_said_no(steps: dict[str, Any]) -> None:
    """Also where an approval was skipped by hand: it then refuses, and no green run hides that."""
    assert steps["move"].trigger_rule == "none_failed"


@pytest.mark.parametrize("workflow", BY_HAND)
def test_people_start_it(own: SimpleNamespace, workflow: str) -> None:
    dag = own.dags[f"home_feed__{workflow}"]
    assert dag.schedule is None
    assert (dag.catchup, dag.max_active_runs) == (False, 1)
    assert dag.tags == {"equipoise", "home_feed", workflow}
    assert dag.doc_md.startswith("## Triage")
    assert all(word in dag.doc_md for word in ("ContractError", "DataError", "StoreError", "### By hand"))


def test_a_promotion_may_wait_for_its_reviewers_besides_the_time_of_its_work(own: SimpleNamespace) -> None:
    assert own.dags["home_feed__promote"].dagrun_timeout == timedelta(hours=12, days=3)


@pytest.mark.parametrize("workflow", BY_HAND)
def test_a_surface_that_cannot_be_read_has_a_red_one_without_schedule(
    bag: SimpleNamespace, workflow: str
) -> None:
    dag = bag.dags[f"misspelt__{workflow}"]
    assert "broken-contracts" in dag.tags
    assert dag.schedule is None


@pytest.mark.parametrize(
    ("workflow", "name", "value"),
    [("promote", "release", ""), ("promote", "why", "  "), ("rollback", "why", ""), ("rollback", "to", 1)],
)
def test_the_form_refuses(own: SimpleNamespace, workflow: str, name: str, value: object) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        own.dags[f"home_feed__{workflow}"].params.get_param(name).resolve(value)


def test_the_form_takes_a_version_or_an_alias(own: SimpleNamespace) -> None:
    release = own.dags["home_feed__promote"].params.get_param("release")
    assert [release.resolve(value) for value in ("3", "challenger")] == ["3", "challenger"]


def response(**changes: Any) -> dict[str, Any]:
    """What Airflow resumes an approval with."""
    form = {"version": 3, "evidence": EVIDENCE, "reason": None}
    plain = {
        "chosen_options": ["Approve"],
        "params_input": form,
        "responded_at": datetime(2026, 3, 1, tzinfo=UTC),
        "responded_by_user": {"id": "7", "name": "ana"},
    }
    return {**plain, **changes}


def test_a_reply_is_by_the_users_name_and_for_what_he_was_shown(airflow_home: object) -> None:
    from dags.approval import Reply

    assert Reply.of(response()) == Reply("ana", True, "", 3, EVIDENCE)
    form = {"version": "3", "evidence": EVIDENCE, "reason": " hides rose "}
    rejected = Reply.of(response(chosen_options=["Reject"], params_input=form))
    assert (rejected.approves, rejected.why, rejected.release) == (False, "hides rose", 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"params_input": {}},
        {"params_input": {"version": None, "evidence": EVIDENCE}},
        {"params_input": {"version": 3, "evidence": ""}},
        {"responded_by_user": None},
    ],
)
def test_a_reply_that_does_not_say_by_whom_and_for_what_is_none(
    airflow_home: object, changes: dict[str, Any]
) -> None:
    from dags.approval import Reply

    with pytest.raises(ContractError, match="lacks the release or the evidence"):
        Reply.of(response(**changes))


def test_the_form_of_an_answer_leaves_no_other_release_and_evidence_to_choose(airflow_home: object) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    from dags.approval import _form

    form = _form(version=3, evidence=EVIDENCE)
    assert form["version"].resolve() == 3
    for name, other in (("version", 4), ("evidence", "f" * 64)):
        with pytest.raises(ParamValidationError):
            form[name].resolve(other)


@dataclass(frozen=True)
class Waiting:
    """The step that asks for product, of a surface whose registry holds one release; what it says of itself."""

    approval: Any
    home: Path
    notes: list[str] = field(default_factory=list)

    def resume(self, error_type: str) -> None:
        """Resume it as Airflow does where no answer came."""
        from airflow.sdk.execution_time.context import set_current_context

        ti = SimpleNamespace(xcom_push=lambda key, value: self.notes.append(value))
        context: Any = {"ti": ti, "dag_run": SimpleNamespace(run_id="manual__1")}
        with set_current_context(context):
            self.approval.execute_complete(context, {"error": "no answer", "error_type": error_type})


@pytest.fixture
def waiting(airflow_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Waiting:
    from dags.approval import Approval

    moves = new_aliases(tmp_path / "home")
    register(moves, "one")
    write_surface(tmp_path / "surfaces", "feed")
    monkeypatch.setenv("EQUIPOISE_SURFACES", str(tmp_path / "surfaces"))
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    case: dict[str, Any] = {"release": 1, "champion": None, "evidence": EVIDENCE, "run_id": "r", "as_of": ""}
    case |= {"share": None, "override": ""}
    asked: dict[str, Any] = {"surface": "feed", "role": "product", "reviewers": ["ana"], "request": case}
    approval = Approval(task_id="approve_product", answer_within=timedelta(days=3), **asked)
    return Waiting(approval, moves.registry.home)


def test_an_approval_that_times_out_leaves_a_row_of_the_audit_and_moves_no_alias(waiting: Waiting) -> None:
    with pytest.raises(GateRefused, match="Nobody reviewed for product within 3 days"):
        waiting.resume("timeout")
    (row,) = Store.open(waiting.home).audit("feed").entries()
    assert (row.kind, row.by, row.role, row.run) == (Kind.TIME_OUT, "nobody", "product", "manual__1")
    assert (row.release, row.evidence, row.why) == (1, EVIDENCE, "no review within 3 days")
    assert Store.open(waiting.home).registry.aliases(MODEL) == {}
    assert waiting.notes == [
        "`GateRefused: Nobody reviewed for product within 3 days (promotion.answer_within)`"
    ]


@pytest.mark.parametrize(
    ("error_type", "error"), [("validation", ContractError), ("unknown", StoreError), ("", StoreError)]
)
def test_what_else_ends_the_wait_is_no_time_out_and_is_asked_again(
    waiting: Waiting, error_type: str, error: type[Exception]
) -> None:
    with pytest.raises(error, match="for product") as raised:
        waiting.resume(error_type)
    assert Store.open(waiting.home).audit("feed").entries() == ()
    assert waiting.approval.retry_policy.evaluate(raised.value, 1, 20).action.value != "fail"


@pytest.mark.filterwarnings("ignore")  # what FAB imports warns of what that imports
def test_production_knows_reviewers_by_their_user_names(airflow_home: object) -> None:
    pytest.importorskip("airflow.providers.fab", reason="it comes with the extra `production`")
    from dags.login import NamedFabAuthManager

    ana = SimpleNamespace(get_id=lambda: "7", get_name=lambda: "ana")
    manager = NamedFabAuthManager.__new__(NamedFabAuthManager)
    assert manager.is_authorized_hitl_task(assigned_users={"ana"}, user=ana)
    assert not manager.is_authorized_hitl_task(assigned_users={"sam", "7"}, user=ana)
