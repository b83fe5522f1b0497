"""Started by hand, or by a retrain with the verdict Promote: ask the reviewers, then update the alias.

::

    request -> approve_<role>, for each role that the utility policy names -> move

If the form gives a reason for an override, the role that may override gates is asked too.
"""

from datetime import timedelta
from functools import partial
from typing import Any

from airflow.sdk import DAG, Param

from dags.approval import Approval, say_waiting, support
from dags.assets import of_champion
from dags.champion import tell_move
from dags.note import tell
from dags.notify import ConnectionNotifier
from dags.place import open_workspace
from dags.step import link, report, step
from dags.surfaces import describe, for_every_surface, optional
from tasks.contracts import Contracts
from tasks.errors import GateRefused

RUNBOOK = """
## Triage

A red run updated no alias, unless the log of `move` shows it. The run's note names the step and its error.

- **`ContractError` in `request`**: the form lacks a reason, or an experiment or a waiver for changed tasks or
  policies; or the release does not exist, or a backfill made it. Complete the form and start again.
- **`GateRefused` in `request`**: the gates hold the release against the current champion, or it was made
  under other contracts than are in force. The message names the gate and the file; retrain. Or an override
  does not cover every gate that holds it, or `champion` was requested before the ramp ended.
- **`GateRefused` in `approve_...`**: a reviewer rejects, with a reason; nobody answered in time; or the
  evidence has changed since the request was made. Start the promotion again if it is still wanted.
- **`GateRefused` in `move`**: a role has no answer of a reviewer in the audit (marking a
  step success by hand does not count), or another release became champion meanwhile. Start it again.
- **`AuditMismatch`, any step**: an alias was moved by hand, or the audit was changed. The message names the
  difference and the rollback that repairs it.
- **`StoreError`, any step**: a store did not answer, or bytes are not what was registered. `equipoise release
  verify SURFACE champion` shows what is wrong.
- **`DataError`, any step**: labels or logs that the evidence rests on cannot be read any more.

An approval step that is tried again asks again: the answer was invalid, and its log gives the reason.

### What it does

Evaluates all gates against the current champion, shows the evidence to one reviewer of each role that the
utility policy names, and waits without a slot. When every role has approved this evidence, the old champion
becomes `previous` and the release `champion`, with one row in the audit.

### By hand

Start it with `release` (a version or an alias) and `why`. Where tasks or policies differ from the champion's,
give `experiment`, the online test that supports the change, or `waiver`, the reason why there is none. A run
updates the alias once: clearing it and running it again changes nothing.

If surface.yaml declares a `ramp`, the first run serves the release to the users of the first stage, and a
second one with the stage `champion` promotes it after the ramp, with the gates of that day and approvals of
its own. If it declares an `override`, the form takes the reason for overriding the gates that hold the
release.
"""


@step
def request(surface: str, params: Any = None) -> dict[str, Any]:
    """Evaluate the release against the current champion; refuse early what the step `move` would refuse."""
    from tasks.pipeline import recheck
    from tasks.promotion.moves import request as promotion_request

    result = promotion_request.make(
        open_workspace(surface), release=params["release"], support=support(params), evaluate_gate=recheck
    )
    kept = report(result, "release", "champion", "evidence", "run_id", "as_of", "share", "override")
    beside = f"compared with champion {result.champion}" if result.champion else "as the first champion"
    tell(f"release {result.release} {beside}", link())
    return kept


@step(trigger_rule="none_failed", execution_timeout=timedelta(hours=1))
def move(
    surface: str, made: dict[str, Any] | None, dag_run: Any = None, params: Any = None
) -> dict[str, Any]:
    """Update the alias champion if the audit holds an Approve of the current evidence by every role."""
    if made is None:
        raise GateRefused("No promotion request was made, so nobody has to review")
    from tasks.pipeline import recheck
    from tasks.promotion.moves import promote
    from tasks.promotion.moves import request as promotion_request
    from tasks.promotion.moves.rules import Actor
    from tasks.stores.workspace import parse_instant

    workspace, run = open_workspace(surface), dag_run.run_id
    approvers = promotion_request.approvers(workspace, release=made["release"], run=run)
    result = promote.run(
        workspace,
        release=made["release"],
        by=Actor(approvers, run),
        evaluate_gate=partial(recheck, as_of=parse_instant(made["as_of"])),
        support=support(params),
    )
    return tell_move(workspace, result)


def promotion(contracts: Contracts) -> DAG:
    """Name the edges."""
    params = {
        "release": Param(
            type="string", pattern=r"\S", title="Release", description="Its version, or an alias."
        ),
        "why": Param(
            type="string", pattern=r"\S", title="Why", description="The reason, shown and kept in the audit."
        ),
        "experiment": optional("Experiment", "The online test that supports changed tasks or policies."),
        "waiver": optional("Waiver", "Why no online test supports them."),
    }
    surface = contracts.surface
    params |= _declared(contracts)
    waits = surface.promotion.answer_within
    identity = describe(contracts, "promote", cron=None, runbook=RUNBOOK, waits=waits)
    with DAG(**identity, params=params) as dag:
        made = request(surface=contracts.name)
        lifting = [surface.override.role] if surface.override else []
        asked = [
            Approval(
                task_id=f"approve_{role}",
                surface=contracts.name,
                role=role,
                reviewers=surface.reviewers[role],
                request=made,
                answer_within=waits,
                of_override=role not in contracts.utility.approvals,
                notifiers=[ConnectionNotifier(surface.notify.approval_waits, say_waiting)],
            )
            for role in dict.fromkeys([*contracts.utility.approvals, *lifting])
        ]
        moved = move.override(**of_champion(contracts.name))
        asked >> moved(surface=contracts.name, made=made)
    return dag


def _declared(contracts: Contracts) -> dict[str, Param]:
    """Return the fields of what only some surfaces declare."""
    fields, surface = {}, contracts.surface
    if surface.ramp is not None:
        share = f"{surface.ramp.stages[0].share:.3g} of the users"
        described = f"canary: {share}. champion: all of them, after the ramp. Empty: the first of both."
        fields["stage"] = optional("Stage", described, enum=[None, "canary", "champion"])
    if surface.override is not None:
        rule = surface.override
        described = f"Why {rule.role} overrides gates ({', '.join(rule.gates)}). Empty: no override."
        fields["override"] = optional("Override", described)
    return fields


globals().update(for_every_surface("promote", promotion, by_hand=True))
