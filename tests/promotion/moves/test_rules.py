from dataclasses import replace

import pytest

from tasks.contracts.gates import Ramp
from tasks.errors import ContractError, GateRefused
from tasks.evaluation.release_evidence import EvidenceRuns, GateEvidence
from tasks.promotion.moves.rules import (
    PromotionRequest,
    PromotionSupport,
    PromotionTerms,
    changed_contracts,
    choose_share,
    refuse_verdict,
    require_support,
)

EVIDENCE = "e" * 64
PLAIN = {"surface": "feed", "release": 4, "as_of": "", "verdict": "promote"}
NOTHING: dict[str, object] = {"manifest": {}, "rules": {}, "calibration_in_slots": {}} | dict.fromkeys(
    ("reasons", "warnings", "notes", "gates", "sensitivity"), ()
)
RUNS = EvidenceRuns("validation", "release", "simulation", "shadow")


def a_case(
    champion: int | None = 3,
    changed: tuple[str, ...] = (),
    terms: PromotionTerms = PromotionTerms(),  # noqa: B008 - frozen
    **of_gate: object,
) -> PromotionRequest:
    gate = GateEvidence.model_validate({**PLAIN, **NOTHING, "runs": RUNS, **of_gate})
    return PromotionRequest(gate, champion, changed, EVIDENCE, terms)


@pytest.mark.parametrize("changed", ["tasks", "utility", "slate"])
def test_a_contract_with_another_digest_is_a_change(changed: str) -> None:
    champion = {"surface": "s", "tasks": "t", "utility": "u", "slate": "l"}
    assert changed_contracts(champion | {changed: "x"}, champion) == (changed,)


def test_another_surface_yaml_is_no_change_of_what_people_get() -> None:
    champion = {"surface": "s", "tasks": "t", "utility": "u", "slate": "l"}
    assert changed_contracts(champion | {"surface": "x"}, champion) == ()


def test_a_held_release_is_refused_with_its_first_reasons() -> None:
    reasons = tuple(f"reason {n}" for n in range(5))
    with pytest.raises(
        GateRefused, match="compared with champion 3: reason 0; reason 1; reason 2 and 2 more"
    ):
        refuse_verdict(a_case(verdict="hold", reasons=reasons))


def test_what_only_inconclusive_evidence_holds_is_champion_after_a_ramp_alone() -> None:
    held = a_case(verdict="hold", reasons=("reordering only",), canary_permitted=True)
    for terms in (PromotionTerms(share=0.05), PromotionTerms(was_canary=True)):
        refuse_verdict(replace(held, terms=terms))
    with pytest.raises(GateRefused, match="may be champion after a ramp"):
        refuse_verdict(held)
    gate = held.gate.model_copy(update={"canary_permitted": False})
    blocked = replace(held, gate=gate, terms=PromotionTerms(was_canary=True))
    with pytest.raises(GateRefused, match="reordering only"):
        refuse_verdict(blocked)


def test_a_release_is_champion_at_the_end_of_its_ramp() -> None:
    ramp, aliases, live = Ramp(guardrails=("hide_7d_rate",)), {"champion": 1}, {2: False}
    with pytest.raises(GateRefused, match="has not reached the end of its ramp"):
        choose_share(ramp, stage="champion", release=2, aliases=aliases, live=live)
    assert choose_share(ramp, stage="champion", release=2, aliases=aliases, live={2: True}) is None


def test_a_release_that_its_gates_let_through_is_not_refused() -> None:
    request = a_case()
    refuse_verdict(request)
    assert request.gate.verdict == "promote"


def test_changed_policies_want_an_experiment_or_a_waiver() -> None:
    with pytest.raises(ContractError, match=r"changes tasks\.yaml and utility\.yaml of champion 3"):
        require_support(a_case(changed=("tasks", "utility")))
    for support in (PromotionSupport(experiment="feed-142"), PromotionSupport(waiver="no traffic yet")):
        require_support(a_case(changed=("tasks", "utility"), terms=PromotionTerms(support=support)))


def test_the_same_policies_want_neither() -> None:
    require_support(a_case())


def test_an_experiment_and_a_waiver_exclude_each_other() -> None:
    with pytest.raises(ContractError, match="exclude each other"):
        require_support(a_case(terms=PromotionTerms(support=PromotionSupport("feed-142", "no traffic yet"))))
