"""The ten failures, in the order of the domain's rules."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from benchmarks.failures.failure import Failure, Seen
from benchmarks.failures.world import NAIVE, FailureWorld, Measure, write_share
from benchmarks.operating_worlds.policies import Candidate, ranked, reweighted
from benchmarks.operating_worlds.scored_slice import Floats
from benchmarks.operating_worlds.truth import change, looks, weighted_mean
from tasks import columns as c
from tasks.contracts import Contracts, canonical, digest
from tasks.contracts.utility import UtilitySpec
from tasks.evaluation.subjects import Segment, Subject
from tasks.promotion.gates.policy import PolicyVersion, ReleasedPolicies
from tasks.ranking.utility import compute_utilities

CLICK, BUY, HIDE, RETURN, SATISFIED = "click_30m", "purchase_7d", "hide_7d", "return_30d", "satisfied_7d"
VIOLATION: Final = "policy_violation"
PENALTY: Final = 0.2
HIDE_SWEEP: Final = (1.0, 0.8, 0.6, 0.4)
"""Costs of a hide, as shares of the one in force, from which one for everybody is chosen."""
POOLED_RISE: Final = 0.05
"""By how much hides of all users together may rise where it is chosen."""
SLIP: Final = 10.0

UTILITY: Final = Measure("utility")
CLICKS, PURCHASES, RETURNS, HIDES, SATISFACTION = (
    Measure(name, task)
    for name, task in (
        ("clicks", CLICK),
        ("purchases", BUY),
        ("returns", RETURN),
        ("hides", HIDE),
        ("satisfied visits", SATISFIED),
    )
)
NEW_USERS: Final = Segment("user_tenure", "new")


def of_new_users(measure: Measure) -> Measure:
    """Return a measure of new users alone."""
    return replace(measure, name=f"{measure.name} of new users", segment=NEW_USERS)


def figures(*measures: Measure) -> Seen:
    """Return what shows the true change of some measures: a naive team measures them well."""
    return lambda world, release: ", ".join(str(world.compare(one, release)) for one in measures)


def auc(task: str, noun: str) -> Seen:
    """Return what shows the AUC of a head and of the challenger's."""

    def seen(world: FailureWorld, release: Candidate) -> str:
        ours, theirs = (world.gate.heads.of(task, one).headline["auc"] for one in (release, world.challenger))
        return f"AUC of {noun} {ours:.2f} (separate head {theirs:.2f})"

    return seen


def _clicks_alone(world: FailureWorld) -> Candidate:
    others = (task for task in world.data.utility.term_names if task != CLICK)
    return world.with_policy(reweighted(world.data.utility, dict.fromkeys(others, 0.0)))


def _slipped(world: FailureWorld) -> UtilitySpec:
    return reweighted(world.data.utility, {CLICK: SLIP})


def _unversioned(world: FailureWorld) -> Mapping[str, Any]:
    """Return what the gate of policies reads: the slip has the version of the champion's policy."""
    ours, theirs = (_version(one) for one in (_slipped(world), world.data.utility))
    contracts: Contracts = world.data.contracts
    in_force = {**contracts.digests, "utility": ours.digest}
    reviewers = contracts.surface.reviewers
    status = ReleasedPolicies(in_force, in_force, {"utility": ours}, {"utility": theirs}, reviewers)
    return {"policy": status}


def _version(policy: UtilitySpec) -> PolicyVersion:
    return PolicyVersion(policy.policy, str(policy.version), digest(canonical(policy)))


def unfiltered(policy: UtilitySpec) -> UtilitySpec:
    """Return a policy without the filter of violating items."""
    others = tuple(one for one in policy.hard_constraints if one.name != VIOLATION)
    return policy.model_copy(update={"hard_constraints": others})


def penalised(world: FailureWorld, penalty: float) -> Candidate:
    """Return a release whose code takes a penalty off violating items instead of dropping them.

    Its policy is the one in force, which declares a hard constraint.
    """
    data, policy = world.data, world.data.utility
    violates = world.column(VIOLATION)
    utility = np.asarray(compute_utilities(data.candidates, data.challenger, policy).utility)
    scores = utility - penalty * violates
    ranks = (1.0 + np.argsort(np.argsort(scores))) / len(scores)
    release = ranked(data, NAIVE, data.challenger, policy=unfiltered(policy), order=ranks)
    return replace(release, policy=policy, utility=scores)


def _penalties(world: FailureWorld) -> Mapping[str, Candidate]:
    by_penalty = {f"penalty of {one:g}": penalised(world, one) for one in (0.1, PENALTY, 0.5, 1.0)}
    return {**by_penalty, "filter": world.challenger}


def one_for_all(world: FailureWorld, factor: float) -> Candidate:
    """Return a release whose hides cost the same for everybody: the policy's weight times a factor."""
    alike = world.data.utility.model_copy(update={"contexts": ()})
    return world.with_policy(reweighted(alike, {HIDE: factor}))


def cheapest_for_all(world: FailureWorld) -> Candidate:
    """Return the release of the smallest cost in the sweep at which pooled hides stay within their bound.

    The bound is relative to the policy in force on the same heads: only the policy is in question.
    """
    in_force = world.compare(HIDES, world.challenger).naive
    releases = [one_for_all(world, factor) for factor in HIDE_SWEEP]
    return [one for one in releases if world.compare(HIDES, one).naive <= (1 + POOLED_RISE) * in_force][-1]


def _by_margin(world: FailureWorld) -> Candidate:
    return world.ordered(_expected_margin(world))


def _expected_margin(world: FailureWorld) -> Floats:
    return world.column("margin") * world.data.challenger[c.probability(BUY)]


def _margin_seen(world: FailureWorld, release: Candidate) -> str:
    """Return the change of the margin that the release expects of its own slots."""
    ours, theirs = (
        weighted_mean(_expected_margin(world), looks(one.slot)) for one in (release, world.champion)
    )
    return f"expected margin {write_share(change(ours, theirs))}"


def _hide_costs_a_click(world: FailureWorld) -> Candidate:
    weights = world.data.utility.weights
    return world.with_policy(
        reweighted(world.data.utility, {HIDE: weights[CLICK].weight / -weights[HIDE].weight})
    )


FAILURES: Final = (
    Failure(
        "F1",
        "click dominates",
        naive="One mixed label, 'any engagement': clicked, stayed or bought. Every stay and purchase follows "
        "a click, so the label is the click, and the ranker is a click ranker.",
        source="No parameter; clicks are four times as frequent as purchases.",
        ship=_clicks_alone,
        seen=figures(CLICKS),
        harms=(HIDES, SATISFACTION, UTILITY),
        gate="decision",
        subject=Subject("observed_utility"),
    ),
    Failure(
        "F2",
        "sparse task not learned",
        naive="One set of trees for all tasks, grown on the sum of their losses, with a calibrator for each "
        "task. The frequent tasks decide every split.",
        source="The surface's default LightGBM parameters; every task weighs 1.",
        ship=lambda world: world.with_heads("shared trees"),
        seen=auc(CLICK, "clicks"),
        harms=(HIDES, UTILITY),
        gate="model",
        subject=Subject("auc_by_request_drop", task=HIDE),
    ),
    Failure(
        "F3",
        "bad calibration",
        naive="The purchase head is trained with balanced classes, and its scores enter the utility as they "
        "are.",
        source="The weights of scikit-learn's `class_weight='balanced'`.",
        ship=lambda world: world.with_heads("balanced classes"),
        seen=auc(BUY, "purchases"),
        harms=(SATISFACTION, PURCHASES, HIDES, UTILITY),
        gate="calibration",
        subject=Subject("calibration_ratio", task=BUY),
    ),
    Failure(
        "F4",
        "hidden weight change",
        naive="The weight of a click is set to 8 instead of 0.8. The file keeps its version, and nobody "
        "reviews it.",
        source="A slip of the decimal point.",
        ship=lambda world: world.with_policy(_slipped(world)),
        seen=figures(CLICKS, PURCHASES),
        harms=(HIDES, RETURNS, UTILITY),
        gate="policy",
        subject=Subject("utility_version"),
        evidence=_unversioned,
    ),
    Failure(
        "F5",
        "guardrail only as penalty",
        naive=f"The ranker takes {PENALTY} off the utility of an item that violates the policy, in place of "
        "a filter.",
        source=f"{PENALTY} is about what an average candidate is worth; 0.3 % of the candidates violate the "
        "policy.",
        ship=lambda world: penalised(world, PENALTY),
        seen=figures(UTILITY),
        harms=(Measure("violating items", VIOLATION),),
        gate="constraints",
        subject=Subject("leak", constraint=VIOLATION),
        sweep=_penalties,
    ),
    Failure(
        "F6",
        "global metric hides segment harm",
        naive="The context of new users, whose hides cost twice as much, is dropped for one weight: of -5, "
        "-4, -3 and -2 the smallest cost at which pooled hides rise by at most 5 % over the policy in force.",
        source="A sweep under a pooled guardrail of 5 %; a quarter of the users are new.",
        ship=cheapest_for_all,
        seen=figures(UTILITY, HIDES),
        harms=(of_new_users(HIDES), of_new_users(UTILITY)),
        gate="decision",
        subject=Subject("predicted", task=HIDE),
        segment=NEW_USERS,
    ),
    Failure(
        "F7",
        "delayed label as negative",
        naive="Labels come from a join of impressions with the returns known so far; a return that is "
        "missing, or still to come, is a 0. The head learns from the newest 21 days.",
        source="A return follows its purchase by a week on average; the days are as many as those of train "
        "and calibrate.",
        ship=lambda world: world.with_heads("early labels"),
        seen=figures(PURCHASES, UTILITY),
        harms=(RETURNS,),
        gate="data",
        subject=Subject("validation"),
        evidence=lambda world: {"validation": world.early.validation},
    ),
    Failure(
        "F8",
        "business value over relevance",
        naive="Candidates are ranked by expected margin: the probability of a purchase times the item's "
        "margin.",
        source="The item's logged margin; no other parameter.",
        ship=_by_margin,
        seen=_margin_seen,
        harms=(SATISFACTION, HIDES, PURCHASES, UTILITY),
        gate="decision",
        subject=Subject("rate", task=SATISFIED),
    ),
    Failure(
        "F9",
        "negative feedback underweighted",
        naive="A hide cancels a click: its weight is -0.8 instead of -5.",
        source="Counting negative feedback as one lost click.",
        ship=_hide_costs_a_click,
        seen=figures(CLICKS, PURCHASES),
        harms=(HIDES, of_new_users(HIDES), UTILITY),
        gate="decision",
        subject=Subject("predicted", task=HIDE),
    ),
    Failure(
        "F10",
        "proxy optimised, not the outcome",
        naive="The ranker maximises conversion, the proxy of a sale that is kept: candidates are ranked by "
        "the probability of a purchase.",
        source="No parameter; one purchase in five comes back.",
        ship=lambda world: world.ordered(world.data.challenger[c.probability(BUY)]),
        seen=figures(PURCHASES),
        harms=(RETURNS, HIDES, UTILITY),
        gate="decision",
        subject=Subject("observed_utility"),
    ),
)
