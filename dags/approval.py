"""Approval steps: ask the reviewers of a role and record the answer in the audit.

::

    execute             the page of the request, and in the form the release and the evidence it is about
                        -> waits without a slot
    execute_complete    Approve or Reject, by whom, on which evidence, or that nobody answered  -> the audit

A user who may trigger a run may also mark this step success or write XComs, so neither counts as an approval.
The process that Airflow resumes with the response writes the answer to a table that Airflow's users cannot
write, and the step that updates an alias reads it there.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Never, Self

from airflow.configuration import conf
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Context, ExceptionRetryPolicy, Param, RetryAction, RetryRule
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.hitl import HITLUser

from dags.note import tell, tell_error
from dags.notify import Message, run_page
from dags.place import open_workspace
from dags.step import MlflowRunLink, release_address, run_address
from dags.surfaces import optional
from tasks.contracts.durations import describe_duration
from tasks.errors import ContractError, GateRefused, StoreError

if TYPE_CHECKING:
    from tasks.promotion.moves.rules import PromotionSupport

_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception=[GateRefused],
            action=RetryAction.FAIL,
            reason="a reviewer rejects or was too late, or the evidence has changed",
        )
    ]
)

_ASKING: Mapping[str, Any] = {
    "retries": 20,
    "retry_delay": timedelta(seconds=5),
    "retry_exponential_backoff": False,
    "retry_policy": _POLICY,
    "execution_timeout": timedelta(minutes=10),
}
"""The answer is invalid; the reviewer is asked again."""


@dataclass(frozen=True)
class Reply:
    """A response: a choice, a reason, and the release and evidence of the form."""

    by: str
    approves: bool
    why: str
    release: int
    evidence: str

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Self:
        """Read Airflow's response.

        Raises
        ------
        ContractError
            The response lacks the user, the release or the evidence.
        """
        user, form = event["responded_by_user"], event["params_input"] or {}
        if not user or not str(form.get("version")).isdecimal() or not form.get("evidence"):
            raise ContractError(
                "The answer lacks the release or the evidence. Send the form's version and evidence unchanged"
            )
        return cls(
            by=user["name"],
            approves=event["chosen_options"] == [ApprovalOperator.APPROVE],
            why=str(form.get("reason") or "").strip(),
            release=int(form["version"]),
            evidence=str(form["evidence"]),
        )


class Approval(ApprovalOperator):
    """Ask one of a role's reviewers.

    Parameters
    ----------
    request : what `tasks.promotion.moves.request.make` returned, passed by the upstream step.
    answer_within : how long it waits for the answer.
    of_override : ask the role only where gates are overridden; the step is skipped otherwise.
    """

    template_fields = (*ApprovalOperator.template_fields, "request")
    operator_extra_links = (MlflowRunLink(),)
    mlflow_run = ""

    def __init__(
        self,
        *,
        surface: str,
        role: str,
        reviewers: Sequence[str] = (),
        request: Any = None,
        answer_within: timedelta | None = None,
        of_override: bool = False,
        **kwargs: Any,
    ) -> None:
        self.surface, self.role, self.request, self.of_override = surface, role, request, of_override
        super().__init__(
            subject=f"{surface}: may this release be champion? ({role})",
            assigned_users=[HITLUser(id=user, name=user) for user in reviewers],
            response_timeout=answer_within,
            **{**kwargs, **_ASKING, "params": _form()},
        )

    def execute(self, context: Context) -> Any:
        """Show the request and wait."""
        if self.request and self.of_override and not self.request["override"]:
            raise AirflowSkipException(f"Nothing is overridden, so {self.role} need not approve")
        with _recorded_answers():
            if not self.request:
                raise GateRefused("No promotion request was made, so there is nothing to approve")
            request, params = self.request, context["params"]
            self.body = _page(self.surface, request, params)
            what = "champion" if request["share"] is None else "the canary"
            over = " by an override" if request["override"] else ""
            self.subject = f"{self.surface}: may release {request['release']} be {what}{over}? ({self.role})"
            self.params.update(_form(version=request["release"], evidence=request["evidence"]))
            self.mlflow_run = run_address(request["run_id"])
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Record the answer; a Reject ends the promotion."""
        with _recorded_answers():
            if "error" in event:
                self._refuse_unanswered(event, context["dag_run"].run_id)
            reply = Reply.of(event)
            _keep(reply, self.surface, self.role, context["dag_run"].run_id)
            if not reply.approves:
                raise GateRefused(f"{reply.by} rejects release {reply.release} for {self.role}: {reply.why}")
            tell(f"{reply.by} approves for {self.role}")
        return super().execute_complete(context, event)

    def _refuse_unanswered(self, event: Mapping[str, Any], run: str) -> Never:
        """Record that the time for an answer has passed; after any other error ask again."""
        if event.get("error_type") == "validation":
            raise ContractError(f"The form of the answer for {self.role} cannot be read: {event['error']}")
        if event.get("error_type") != "timeout":
            raise StoreError(f"Airflow could not wait for an answer for {self.role}: {event['error']}")
        from tasks.promotion.moves import answers

        waited = self.response_timeout or timedelta()
        release, evidence = int(self.request["release"]), str(self.request["evidence"])
        workspace = open_workspace(self.surface)
        answers.time_out(workspace, self.role, release=release, evidence=evidence, run=run, waited=waited)
        raise GateRefused(
            f"Nobody reviewed for {self.role} within {describe_duration(waited)} (promotion.answer_within)"
        )


def say_waiting(context: Context) -> Message:
    """Return the message that asks the reviewers for an approval."""
    step, run = context["task"], context["run_id"]
    asked = ", ".join(user["name"] for user in step.assigned_users or ())
    return Message(step.subject, f"Reviewers: {asked}. {run_page(step.dag_id, run, step.task_id)}")


def _keep(reply: Reply, surface: str, role: str, run: str) -> None:
    from tasks.promotion.moves import answers
    from tasks.promotion.moves.answers import Review

    answer = Review(role, reply.by, reply.approves, reply.evidence, reply.why)
    answers.answer(open_workspace(surface), answer, release=reply.release, run=run)


def _page(surface: str, request: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    from tasks.promotion.moves import request as promotion_request
    from tasks.stores.aliases import release_name

    name, champion = release_name(surface), request["champion"]
    versions = {f"release {request['release']}": request["release"], f"champion {champion}": champion}
    links = {words: release_address(name, version) for words, version in versions.items() if version}
    return promotion_request.show(
        open_workspace(surface),
        release=request["release"],
        evidence=request["evidence"],
        support=support(params),
        links={**links, "dossier": dossier_address(surface, request["release"])},
    )


def dossier_address(surface: str, release: int) -> str:
    """Return the address of a dossier in Airflow, which shows the page only as the gate recorded it."""
    from dags.overview import PREFIX

    base = str(conf.get("api", "base_url", fallback="")).rstrip("/")
    return f"{base}{PREFIX}/{surface}/releases/{release}/dossier"


def support(params: Mapping[str, Any]) -> "PromotionSupport":
    """Return the fields of the promotion form; some surfaces have no stage or override."""
    from tasks.promotion.moves.rules import PromotionSupport

    experiment, waiver, override, stage = (
        params.get(name) or None for name in ("experiment", "waiver", "override", "stage")
    )
    return PromotionSupport(experiment, waiver, override, stage, params.get("why") or "")


def _form(version: int | None = None, evidence: str | None = None) -> dict[str, Param]:
    """Return the form of an answer; release and evidence are filled in and fixed."""
    return {
        "version": _only(version, "Release", "The release under review."),
        "evidence": _only(evidence, "Evidence", "The digest of the evidence above."),
        "reason": optional("Reason", "Kept in the audit. A Reject needs one."),
    }


def _only(value: object, title: str, description: str) -> Param:
    """Return a field that accepts only this value, or any value while it is unknown."""
    choice = {} if value is None else {"enum": [value]}
    return Param(value, title=title, description=description, **choice)


@contextmanager
def _recorded_answers() -> Iterator[None]:
    """Write the reason of a failure to the run's note."""
    try:
        yield
    except Exception as error:
        tell_error(error)
        raise
