from deploy.demo import summarise

RELEASE = {
    "version": 3,
    "aliases": ["challenger"],
    "pins": {f"part{number}": 1 for number in range(14)},
    "snapshot": "0123456789abcdef",
    "metrics": {
        "purchase_7d": {
            "test": {
                "auc": 0.9491,
                "auc_low": 0.9412,
                "auc_high": 0.9568,
                "auc_by_request": 0.8,
                "auc_by_request_low": 0.79,
                "auc_by_request_high": 0.81,
                "calibration_ratio": 1.02,
                "calibration_ratio_low": 0.97,
                "calibration_ratio_high": None,
            }
        },
        "spend_7d": {"test": {"mae": 1.0}},
    },
}
DOSSIER = {
    "verdict": "hold",
    "reasons": [f"reason {number}" for number in range(7)],
    "gates": [
        {"gate": "data", "outcome": "pass"},
        {"gate": "data", "outcome": "pass"},
        {"gate": "decision", "outcome": "inconclusive"},
    ],
}


def test_the_figures_stand_with_their_intervals_pooled_and_by_request() -> None:
    text = summarise(RELEASE, DOSSIER)
    (row,) = [line.split("   ") for line in text.splitlines() if "purchase_7d" in line]
    assert row[0].strip() == "purchase_7d"
    assert row[1:4] == ["0.949 [0.941, 0.957]", "0.800 [0.790, 0.810]", "1.020 [0.970, ?]"]


def test_the_release_its_verdict_and_every_gate_are_named() -> None:
    text = summarise(RELEASE, DOSSIER)
    assert "version 3 (alias: challenger), 14 pinned parts, label snapshot 0123456789abcdef" in text
    assert "verdict: HOLD" in text
    assert "data       2 pass" in text
    assert "decision   1 inconclusive" in text


def test_many_reasons_are_cut_and_counted() -> None:
    text = summarise(RELEASE, DOSSIER)
    assert "reason 4" in text
    assert "reason 5" not in text
    assert "and 2 more, in the dossier" in text


def test_a_promoted_release_has_no_reasons() -> None:
    assert "Held because" not in summarise(RELEASE, {**DOSSIER, "verdict": "promote", "reasons": []})
