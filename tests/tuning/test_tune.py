"""Weights tuned on a real home: days of their own, trials that a kill does not lose, a policy written aside."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tasks.cli import main
from tasks.contracts import load_surface
from tasks.contracts.load import read_policy, read_yaml
from tasks.errors import ContractError
from tasks.replay.guardrails import one_sided
from tasks.stores.steps import Done
from tasks.stores.workspace import Workspace
from tasks.tuning import tune
from tasks.tuning.evidence import TuningEvidence
from tasks.tuning.tune import TuneRequest, proposed_text
from tests.feeds import mini
from tests.feeds.mini import Retrained
from tests.known import known
from tests.promotion.moves.moving import forget_moves

Tuned = Done[TuningEvidence]

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


TRIALS = 18


def tuned_for(plain: dict[str, Any]) -> None:
    plain["weights"] |= {"click_30m": 0.01, "hide_2d": -3.0}  # few for clicks: more of it shows
    plain["constrained"] = {
        "maximise": "click_30m_predicted",
        "subject_to": [{"metric": "hide_2d_predicted", "relative_increase_max": 0.5}],
        "ranges": {"click_30m": [0, 4], "hide_2d": [-50, 0]},
    }


@pytest.fixture(scope="module")
def workspace(repeated: Retrained, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy of the home without a champion: other tests let release 1 be the champion of theirs."""
    folder = tmp_path_factory.mktemp("tuned")
    there = mini.changed(repeated.workspace, folder, utility=tuned_for)
    home = Path(shutil.copytree(there.home, folder / "home"))
    copied = Workspace.open(mini.NAME, surfaces=there.surfaces, home=home)
    forget_moves(copied)
    return copied


@pytest.fixture(scope="module")
def tuned(workspace: Workspace) -> Tuned:
    return tune.run(workspace, TuneRequest(1, trials=TRIALS))


def test_the_days_are_after_every_training_and_before_the_test(workspace: Workspace, tuned: Tuned) -> None:
    first, last = tuned.evidence.days
    manifest = workspace.releases.manifest(1)
    trained = [part.trained_until() for part in manifest.parts if part.role == "task"]
    assert max(trained) < first <= last < manifest.test[0]


def test_every_trial_is_a_run_below_the_tuning(workspace: Workspace, tuned: Tuned) -> None:
    assert len(mini.step_runs(workspace, "weights")) == tuned.evidence.searched_policies[0] == TRIALS


def test_what_is_proposed_is_accepted_beside_the_surface(workspace: Workspace, tuned: Tuned) -> None:
    proposal = known(tuned.evidence.proposal)
    policy = read_policy(Path(proposal.file), workspace.contracts)
    before = load_surface(workspace.surfaces, mini.NAME).utility
    assert policy.version == before.version + 1 == proposal.version
    assert {term: policy.weights[term].weight for term in proposal.weights} == proposal.weights
    assert policy.weights["purchase_2d"].value_column == "margin"
    assert policy.weights["return_5d"] == before.weights["return_5d"]
    assert "Nobody has approved it" in Path(proposal.file).read_text(encoding="utf-8")


def test_the_gain_is_of_outcomes_and_the_primary_is_judged_without_a_champion(tuned: Tuned) -> None:
    """Against the logged order outcomes are worth what the release's policy says, as in its simulation."""
    proposal = known(tuned.evidence.proposal)
    assert proposal.gain_metric == "click_30m_rate"
    assert one_sided(known(proposal.gain)).low > 0
    assert tuned.evidence.baseline == "logged order"
    primary = proposal.verdicts[0]
    assert str(primary.subject) == "observed_utility"
    assert known(primary.observed).known


def test_the_surfaces_own_file_is_left_as_it_was(workspace: Workspace, tuned: Tuned) -> None:
    assert read_yaml(workspace.surfaces / mini.NAME / "utility.yaml")["version"] == 1


def test_more_trials_go_on_where_the_search_ended(workspace: Workspace, tuned: Tuned) -> None:
    before = set(mini.step_runs(workspace, "weights"))
    more = tune.run(workspace, TuneRequest(1, trials=TRIALS + 2))
    assert len(set(mini.step_runs(workspace, "weights")) - before) == 2
    assert more.evidence.searched_policies == (TRIALS + 2, 2 * TRIALS + 2)


def test_the_same_once_more_is_found_again(workspace: Workspace, tuned: Tuned) -> None:
    assert tune.run(workspace, TuneRequest(1, trials=TRIALS)).run_id == tuned.run_id


def test_what_is_typed_prints_one_document(
    workspace: Workspace, tuned: Tuned, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--surfaces", str(workspace.surfaces), "--home", str(workspace.home)]
    assert main(["tune", mini.NAME, "--release", "1", "--trials", str(TRIALS), "--json", *where]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["run_id"] == tuned.run_id
    assert document["proposal"]["version"] == 2


def test_the_page_opens_the_weights_of_every_point(tuned: Tuned) -> None:
    html = Path(tuned.evidence.report).read_text(encoding="utf-8")
    for point in tuned.evidence.front:
        assert f'href="#trial-{point.trial}"' in html
        assert f'id="trial-{point.trial}"' in html


def test_a_policy_that_does_not_say_what_for_is_refused(repeated: Retrained) -> None:
    with pytest.raises(ContractError, match="has no `constrained`: set what to maximise"):
        tune.run(repeated.workspace, TuneRequest(1, trials=3))


@pytest.mark.parametrize("trials", [0, 1001])
def test_a_number_of_trials_has_bounds(workspace: Workspace, trials: int) -> None:
    with pytest.raises(ContractError, match="ask for 1 to 1000"):
        tune.run(workspace, TuneRequest(1, trials=trials))


def test_bounds_that_hold_need_no_restoration(workspace: Workspace) -> None:
    found = tune.run(workspace, TuneRequest(1, trials=1, baseline="1", restore=True)).evidence
    assert (found.ending, found.proposal, found.exceeded) == ("within bounds", None, {})


def test_an_exceeded_bound_is_brought_back_by_other_weights(repeated: Retrained, tmp_path: Path) -> None:
    def careless(plain: dict[str, Any]) -> None:
        plain["version"] = 2
        plain["weights"]["hide_2d"] = -0.01
        plain["contexts"] = []
        plain["guardrails"] = [
            {"metric": "hide_2d_predicted", "relative_increase_max": 0.05, "action": "block"},
            {"metric": "return_5d_predicted", "max": 0.5, "action": "block"},
        ]

    workspace = mini.changed(repeated.workspace, tmp_path, utility=careless)
    found = tune.run(workspace, TuneRequest(1, trials=1, baseline="1", restore=True)).evidence
    assert list(found.exceeded) == ["hide_2d_predicted"]
    assert found.proposal is not None
    assert found.proposal.moved > 0
    policy = read_yaml(Path(found.proposal.file))
    assert policy["version"] == 3
