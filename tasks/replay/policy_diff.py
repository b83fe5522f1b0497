"""The policy diff: two policies compared on the logged candidates of a release's test slice.

::

    A, B      digits or an alias: the utility and slate policy pinned by this release; otherwise the file of a
              utility policy, used with the current slate.yaml, or of a slate policy, with utility.yaml
    release   its predictions and test days are used for both; by default the champion, else the newest
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks import columns as c
from tasks.contracts import SlateSpec, UtilitySpec, canonical
from tasks.contracts.load import read_policies
from tasks.contracts.metrics import mix_columns
from tasks.errors import ContractError
from tasks.release.view import load, release_policy
from tasks.replay.decided_slice import Entrant, Entrants, SliceBuilder, build_slice, decided_blocks
from tasks.replay.evidence import PolicyDiff, PolicySide, SlateRuleChange
from tasks.replay.log import PolicySlates
from tasks.replay.moves import EXAMPLES_RULE, Pair
from tasks.replay.page import stood_in
from tasks.replay.replay_policies import Replay
from tasks.replay.slate_checks import refuse_leaks
from tasks.replay.slates import Scored, TestSlice
from tasks.reports.numbers import format_counted
from tasks.reports.phrases import vocabulary
from tasks.reports.render import render
from tasks.stores.aliases import CHAMPION, release_name
from tasks.stores.manifest import Role
from tasks.stores.releases import POLICY_FILE
from tasks.stores.workspace import Workspace, write_report

_ORDER_ALONE = (
    "Reordering of what was shown: nothing else is logged, so exposure is not measurable, and items enter or "
    "leave the slate only among those shown."
)


@dataclass(frozen=True)
class _Named:
    """A policy with the name that the user gave."""

    name: str
    policy: UtilitySpec
    slate: SlateSpec

    @property
    def side(self) -> PolicySide:
        return PolicySide(name=self.name, policy=self.policy.policy, version=self.policy.version)


def run(workspace: Workspace, *, before: str, after: str, release: str | None = None) -> PolicyDiff:
    """Compare two policies on the same candidates and predictions.

    Parameters
    ----------
    before, after : a release (digits or an alias) with its policies, or the file of a utility policy or of a
        slate policy.
    release : the release that predicts; by default the champion, else the newest.

    Raises
    ------
    ContractError
        A release does not exist, or a file is neither a utility policy nor a slate policy for the surface.
    DataError
        The test slice has no candidates, or the release does not predict a task that a policy weighs.
    """
    sides = [_named(workspace, each) for each in (before, after)]
    chosen = _release(workspace, release)
    predicting = Entrant(load(workspace, workspace.releases.tested_version(chosen)), f"release {chosen}")
    pair, request_ids, item_ids = _decide(workspace, predicting, *sides)
    log, contracts = pair.replay.log, workspace.contracts
    segments = [segment.name for segment in contracts.surface.segments]
    costs = [name for name, task in contracts.tasks.tasks.items() if task.family.costs]
    first, last = predicting.release.manifest.test
    found = PolicyDiff(
        surface=workspace.surface,
        release=chosen,
        first_day=str(first),
        last_day=str(last),
        before=sides[0].side,
        after=sides[1].side,
        candidates=len(log.requests),
        requests=log.request_count,
        users=log.user_count,
        slate_rules=_compare_slates(canonical(sides[0].slate), canonical(sides[1].slate)),
        replaced=pair.replaced(),
        value_changes=tuple(
            pair.value_changes([*mix_columns(contracts.surface, contracts.slate), *segments])
        ),
        negatives=tuple(pair.negatives(costs, segments)),
        examples=tuple(pair.examples(request_ids, item_ids)),
        rule=EXAMPLES_RULE,
        notes=(*stood_in(workspace, chosen), *(() if log.complete else (_ORDER_ALONE,))),
    )
    return found.model_copy(update={"report": str(_write(workspace, found))})


def _decide(
    workspace: Workspace, predicting: Entrant, before: _Named, after: _Named
) -> tuple[Pair, list[Any], list[Any]]:
    """Decide on each block of the test slice with both policies, one block in memory at a time.

    Returns both policies on the same candidates, and the ids of requests and items by their codes in the log.
    """

    def first_policy(block: TestSlice, scored: Scored) -> PolicySlates:
        return block.slates_by(before.policy, scored, before.name, slate=before.slate)

    entrants = Entrants(
        predicting,
        first_policy,
        others={after.name: after.policy},
        slates={after.name: after.slate},
    )
    manifest, builder, requests = predicting.release.manifest, SliceBuilder(), list[Any]()
    for block, decided in decided_blocks(workspace, manifest, entrants):
        refuse_leaks(decided.leaks[predicting.name], name=predicting.name)
        builder.add(decided)
        requests += block.candidates[c.REQUEST_ID].unique().tolist()
    test = build_slice(builder, workspace, manifest)
    pair = Pair(Replay(test.log, test.policy), test.baseline, test.others[after.name])
    return pair, requests, builder.item_ids


def _named(workspace: Workspace, named: str) -> _Named:
    """Read a policy: digits and aliases are releases, other names are files."""
    if named.isdecimal() or named in workspace.store.registry.aliases(release_name(workspace.surface)):
        version = workspace.releases.version(named)
        manifest = workspace.releases.manifest(version)
        files = workspace.store.registry.files(manifest.part(Role.SLATE_POLICY))
        slate = SlateSpec.model_validate(json.loads(files[POLICY_FILE]))
        return _Named(f"release {version}", release_policy(workspace, manifest), slate)
    path = Path(named)
    if not path.exists():
        raise ContractError(
            f"'{named}' is neither a release of {workspace.surface} nor a file. Name a version, an alias, or "
            "the file of a utility policy or of a slate policy"
        )
    utility, rules = read_policies(path, workspace.contracts)
    return _Named(named, utility, rules)


def _compare_slates(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[SlateRuleChange, ...]:
    """Return the rules in which two slate policies differ, in the order of slate.yaml."""
    changed = [
        (name, before.get(name), after.get(name))
        for name in SlateSpec.model_fields
        if name not in {"policy", "version"} and before.get(name) != after.get(name)
    ]
    return tuple(SlateRuleChange(rule=name, before=_words(a), after=_words(b)) for name, a, b in changed)


def _words(value: Any) -> str | None:
    return None if value is None or value == {} else json.dumps(value, ensure_ascii=False)


def _release(workspace: Workspace, named: str | None) -> int:
    if named is not None:
        return workspace.releases.version(named)
    champion = workspace.releases.find(CHAMPION)
    if champion is not None:
        return champion
    releases = workspace.releases.summaries()
    if not releases:
        raise ContractError(
            f"{workspace.surface} has no release whose predictions policies could be compared on. Make one: "
            f"equipoise retrain {workspace.surface} --as-of T"
        )
    return int(releases[0]["version"])


def _write(workspace: Workspace, found: PolicyDiff) -> Path:
    requests, users = format_counted(found.requests, "request"), format_counted(found.users, "user")
    size = f"{found.candidates:,} in {requests} of {users}"
    html = render(
        "policy_diff.html.j2",
        title=f"{found.surface}: {_title(found.before)} and {_title(found.after)}",
        facts=[
            f"candidates from {found.first_day} to {found.last_day}: {size}",
            f"predictions of release {found.release}; before: {found.before.name}, after: {found.after.name}",
            "The same candidates and predictions under both policies"
            + ("." if found.slate_rules else ", and the same slate rules."),
        ],
        found=found,
        described={
            name: task.did for name, task in vocabulary(workspace.contracts, champion=None).tasks.items()
        },
    )
    names = "-".join(f"{side.policy}-{side.version}" for side in (found.before, found.after))
    return write_report(workspace, f"policy-diff-release-{found.release}-{names}.html", html)


def _title(side: PolicySide) -> str:
    return f"{side.policy} version {side.version}"
