"""Two policies on a release's candidates: from files and from releases, as document and as page."""

import html
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks import columns as c
from tasks.contracts.load import read_policy
from tasks.errors import ContractError
from tasks.evaluation.subjects import ALL
from tasks.evaluation.verdicts import Estimate
from tasks.replay import policy_diff
from tasks.replay import slates as slices
from tasks.replay.evidence import PolicyDiff
from tasks.replay.moves import Pair
from tasks.replay.replay_policies import Replay
from tasks.replay.slates import Scored
from tasks.reports.numbers import format_estimate, keep_together
from tasks.reports.render import render
from tasks.stores.workspace import Workspace
from tests.feeds import mini
from tests.feeds.mini import Retrained


@pytest.fixture(scope="module")
def workspace(second_retrain: Retrained) -> Workspace:
    return second_retrain.workspace


@pytest.fixture(scope="module")
def careful(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy file under which a hide costs twenty times as much."""
    plain = yaml.safe_load((workspace.surfaces / mini.NAME / "utility.yaml").read_text(encoding="utf-8"))
    plain["version"] = 3
    plain["weights"]["hide_2d"] = 20 * plain["weights"]["hide_2d"]
    plain["contexts"] = []
    plain["terms"] = {
        "dear": {"column": "margin", "weight": -0.01, "cap": 2},
        "best": {"greater_of": ["click_30m", "purchase_2d"], "weight": 0.1},
    }
    file = tmp_path_factory.mktemp("policies") / "careful.yaml"
    file.write_text(yaml.safe_dump(plain), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def found(workspace: Workspace, careful: Path) -> PolicyDiff:
    return policy_diff.run(workspace, before="2", after=str(careful))


def test_the_sides_are_a_release_and_a_file(found: PolicyDiff, careful: Path) -> None:
    assert (found.before.name, found.before.version) == ("release 2", 2)
    assert (found.after.name, found.after.version) == (str(careful), 3)


def test_slate_policies_are_compared_rule_by_rule_and_by_what_moves(
    workspace: Workspace, tmp_path: Path
) -> None:
    plain = yaml.safe_load((workspace.surfaces / mini.NAME / "slate.yaml").read_text(encoding="utf-8"))
    shorter = plain | {"version": plain["version"] + 1, "length": 4, "max_per": {"category": 1}}
    file = tmp_path / "slate.yaml"
    file.write_text(yaml.safe_dump(shorter), encoding="utf-8")
    found = policy_diff.run(workspace, before="champion", after=str(file))
    changed = {one.rule: (one.before, one.after) for one in found.slate_rules}
    assert changed["length"] == (str(plain["length"]), "4")
    assert changed["max_per"][1] == '{"category": 1}'
    assert {*changed} == {"length", "max_per"}
    for request in found.examples:
        assert sum(slot.after is not None for slot in request.slots) <= 4
    assert any(one.down > 0 for one in found.value_changes)
    page = Path(found.report).read_text(encoding="utf-8")
    assert "Slate rules that differ" in page


def test_a_slate_that_cannot_be_filled_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    plain = yaml.safe_load((workspace.surfaces / mini.NAME / "slate.yaml").read_text(encoding="utf-8"))
    file = tmp_path / "slate.yaml"
    file.write_text(yaml.safe_dump(plain | {"min_where_if_available": {"exploration": 99}}), encoding="utf-8")
    with pytest.raises(ContractError, match=r"is not a slate policy .* asks for 99 of \d+ slots"):
        policy_diff.run(workspace, before="champion", after=str(file))


def test_predictions_are_the_champions_unless_a_release_is_named(
    workspace: Workspace, found: PolicyDiff, careful: Path
) -> None:
    assert found.release == 1
    named = policy_diff.run(workspace, before="champion", after=str(careful), release="2")
    assert (named.release, named.before.name) == (2, "release 1")


def test_costlier_hides_are_predicted_more_seldom_on_the_whole_and_in_every_segment(
    found: PolicyDiff,
) -> None:
    hides = {one.segment: one.relative for one in found.negatives if one.task == "hide_2d"}
    assert {one.column for one in hides} == {"", "user_tenure", "item_age"}
    whole = hides[ALL]
    assert whole is not None
    assert whole.high < 0


def test_what_enters_leaves_room_for_nothing_else(found: PolicyDiff) -> None:
    """Slates stay as long as they were, so every column's shares add up to one under both policies."""
    sources = [one for one in found.value_changes if one.column == "source"]
    for side in ("before", "after"):
        assert sum(getattr(one, side).value for one in sources) == pytest.approx(1.0)
    assert {one.column for one in found.value_changes} == {
        "source",
        "category",
        "creator",
        "user_tenure",
        "item_age",
    }


def test_ten_requests_stand_side_by_side_the_most_changed_first(found: PolicyDiff) -> None:
    replaced = [one.replaced for one in found.examples]
    assert len(replaced) == 10
    assert replaced == sorted(replaced, reverse=True)


def test_policies_decided_day_by_day_move_what_they_move_on_the_whole(
    workspace: Workspace, careful: Path, tested_slice: slices.TestSlice, scored: Scored
) -> None:
    in_days = policy_diff.run(workspace, before="2", after=str(careful), release="2")
    before = tested_slice.slates_by(scored.policy, scored, "release 2")
    after = tested_slice.slates_by(read_policy(careful, workspace.contracts), scored, "careful")
    whole = Pair(Replay(tested_slice.log, scored.slates), before, after)
    assert in_days.replaced == whole.replaced()
    assert in_days.value_changes == tuple(
        whole.value_changes([*dict.fromkeys(one.column for one in in_days.value_changes)])
    )
    segments = [segment.name for segment in workspace.contracts.surface.segments]
    assert in_days.negatives == tuple(
        whole.negatives([*dict.fromkeys(one.task for one in in_days.negatives)], segments)
    )
    names = [tested_slice.candidates[name].unique().tolist() for name in c.IMPRESSION_KEY]
    assert in_days.examples == tuple(whole.examples(*names))


def test_the_same_again_is_the_same(workspace: Workspace, found: PolicyDiff, careful: Path) -> None:
    assert policy_diff.run(workspace, before="2", after=str(careful)) == found


def test_the_document_can_be_read_again(found: PolicyDiff) -> None:
    assert PolicyDiff.read(found.model_dump_json(), where="a file") == found


def test_the_page_is_self_contained(found: PolicyDiff) -> None:
    page = Path(found.report).read_text(encoding="utf-8")
    assert "http" not in page
    order = [
        "How much changes",
        "Predicted negatives per 1,000 slots",
        "Moved items",
        "Requests side by side",
    ]
    assert sorted(order, key=page.index) == order
    assert page.count("<summary>") == 10
    assert found.rule in page


def test_shares_of_looks_are_written_as_shares_and_the_task_that_costs_by_its_description(
    found: PolicyDiff,
) -> None:
    page = html.unescape(Path(found.report).read_text(encoding="utf-8"))
    shown = next(mover.before for mover in found.value_changes if mover.before is not None)
    assert keep_together(format_estimate(shown, share=True)) in page
    assert "<small>people sent it back</small>" in page


def test_a_diff_without_a_change_says_so_part_by_part(found: PolicyDiff) -> None:
    none = {"value_changes": (), "negatives": (), "examples": (), "replaced": Estimate(0.0, 0.0, 0.0, 9)}
    unmoved = found.model_copy(update=none)
    page = render("policy_diff.html.j2", title="t", facts=[], found=unmoved, described={})
    assert "<p>0% of the slots hold another item: one" in page
    assert "The surface has no task that costs." in page
    assert "No value of a column changes its exposure." in page
    assert "No request changes." in page
    assert "<table" not in page


def test_what_is_neither_a_release_nor_a_file_is_named(workspace: Workspace) -> None:
    with pytest.raises(ContractError, match=r"'challengr' is neither a release of home_feed nor a file"):
        policy_diff.run(workspace, before="challengr", after="2")
    with pytest.raises(ContractError, match="99"):
        policy_diff.run(workspace, before="99", after="2")


def test_a_policy_of_a_task_that_nobody_predicts_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    plain: dict[str, Any] = yaml.safe_load(
        (workspace.surfaces / mini.NAME / "utility.yaml").read_text(encoding="utf-8")
    )
    plain["weights"]["follow_1d"] = 2.0
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(plain), encoding="utf-8")
    with pytest.raises(ContractError, match="follow_1d"):
        policy_diff.run(workspace, before="2", after=str(tmp_path / "other.yaml"))
