"""A proposed policy is the surface's own file in which the version and a few weights are others."""

from pathlib import Path

import pytest

from tasks.contracts.yaml_file import read_yaml
from tasks.errors import ContractError
from tasks.replay.tuning.proposal import proposed_text

OWN = """\
# reviewed in May
policy: p   # weights: 0.4 each
version: 3  # the third
owner: 'o'
approvals: [product, safety]
weights:    # version: 3
  click: 0.4   # a click's worth
  "buy": {weight: 20, times: margin, why: "it earns
    0.4 of a click"}
  hide:
    why: >-
      weight: -5 is what we said,
      and 0.4 too
    weight: -5.0e-1 # half
  share: +.25
contexts:
- {name: new, when: {tenure: [new]}, weights: {click: 0.4, hide: -5}}
"""
HEAD = "# Because.\n# Nobody has approved it. To approve it are: product, safety.\n"
CHANGES = {
    "version: 3  #": "version: 4  #",
    "  click: 0.4   #": "  click: 0.5   #",
    "{weight: 20,": "{weight: 30.0,",
    "weight: -5.0e-1 #": "weight: -1.0e-05 #",
}
WEIGHTS = {"click": 0.5, "buy": 30.0, "hide": -1e-05, "share": 0.25}


def proposed(folder: Path, text: str) -> str:
    file = folder / "utility.yaml"
    file.write_bytes(text.encode())
    made = proposed_text(file, WEIGHTS, version=4, why=["Because."])
    assert file.read_bytes() == text.encode()
    return made


def test_only_the_numbers_change(tmp_path: Path) -> None:
    expected = OWN
    for before, after in CHANGES.items():
        assert expected.count(before) == 1
        expected = expected.replace(before, after)
    assert proposed(tmp_path, OWN) == HEAD + expected


@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_line_ends_and_a_byte_order_mark_stay(tmp_path: Path, start: str) -> None:
    windows = proposed(tmp_path, start + OWN.replace("\n", "\r\n"))
    assert windows == start + proposed(tmp_path, OWN).replace("\n", "\r\n")


def test_a_file_without_an_end_of_line_and_in_braces_is_edited_too(tmp_path: Path) -> None:
    flow = "{policy: p, version: 3, approvals: [a], weights: {click: 0.4, buy: 20, hide: -5, share: 0.25}}"
    made = proposed(tmp_path, flow)
    assert made.splitlines()[-1] == (
        "{policy: p, version: 4, approvals: [a], weights: {click: 0.5, buy: 30.0, hide: -1.0e-05, share: 0.25}}"
    )
    (tmp_path / "made.yaml").write_text(made, encoding="utf-8")
    assert read_yaml(tmp_path / "made.yaml")["weights"] == WEIGHTS


def test_anchors_are_refused_as_in_every_contract(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="anchors and aliases are not allowed"):
        proposed(tmp_path, OWN.replace("click: 0.4 ", "click: &c 0.4 "))
