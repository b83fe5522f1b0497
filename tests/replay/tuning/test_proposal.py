"""A proposed policy is the surface's own with other weights: reasons and value columns stay."""

from pathlib import Path

import yaml

from tasks.replay.tuning.proposal import proposed_text

OWN = """
# reviewed in May
policy: p
version: 3
owner: o
approvals: [product, safety]
weights:
  click: 0.4
  buy: {weight: 20, times: margin, why: "it earns"}
"""


def test_only_weights_and_version_change(tmp_path: Path) -> None:
    file = tmp_path / "utility.yaml"
    file.write_text(OWN, encoding="utf-8")
    text = proposed_text(file, {"click": 0.5, "buy": 30.0}, version=4, why=["Because."])
    assert yaml.safe_load(text) == yaml.safe_load(OWN) | {
        "version": 4,
        "weights": {"click": 0.5, "buy": {"weight": 30.0, "times": "margin", "why": "it earns"}},
    }
    assert text.startswith("# Because.\n# Nobody has approved it. To approve it are: product, safety.\n")
    assert file.read_text(encoding="utf-8") == OWN
