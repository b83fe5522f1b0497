"""Evidence of a tuning, made by hand: three points of a front, of which one is proposed."""

from datetime import date

from tasks.evaluation.subjects import ALL
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.tuning.evidence import FrontPoint, Objective, TuningEvidence, WeightProposal
from tests.verdicts import bound, subject

WEIGHTS = {"click": 2.0, "hide": -6.0}


def estimate(value: float) -> Estimate:
    return Estimate(value, value - 0.01, value + 0.01, 90)


def evidence(**changed: object) -> TuningEvidence:
    front = tuple(
        FrontPoint(
            trial=trial,
            weights=WEIGHTS,
            searched=(gain + 0.005, fall),
            confirmed=(estimate(gain), estimate(fall)),
            dominated=trial == 7,
        )
        for trial, gain, fall in ((3, 0.05, -0.02), (7, 0.01, 0.01), (4, 0.03, 0.02))
    )
    verdict = Verdict(
        gate="decision",
        subject=subject("hide_rate"),
        segment=ALL,
        outcome=Outcome.PASS,
        threshold=bound("rise of 5.0%"),
        observed=estimate(0.01),
        reason="",
        evidence="r",
    )
    proposal = WeightProposal(
        trial=3,
        version=8,
        weights=WEIGHTS,
        moved=0.9,
        gain_searched=0.061,
        gain_metric="click_rate",
        gain=estimate(0.024),
        gain_predicted=estimate(0.048),
        verdicts=(verdict,),
        file="reports/utility-v8.yaml",
    )
    plain = {
        "ending": "proposed",
        "release": 2,
        "baseline": "champion 1",
        "days": (date(2026, 1, 1), date(2026, 1, 6)),
        "requests": (100, 110),
        "objectives": (
            Objective(metric="click_predicted", raised=True, model_judged=True),
            Objective(metric="hide_predicted", raised=False, model_judged=True),
        ),
        "current": {"click": 1.0, "hide": -3.0},
        "searched_policies": (40, 240),
        "confirmed_policies": (3, 9),
        "feasible": 20,
        "exceeded": {},
        "front": front,
        "hypervolume": 0.001,
        "knee": 4,
        "proposal": proposal,
        "report": "r.html",
        "notes": (),
    }
    return TuningEvidence.model_validate({**plain, **changed})
