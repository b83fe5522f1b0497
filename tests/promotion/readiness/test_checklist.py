"""The readiness of the mini feed as it stands in real stores."""

from dataclasses import replace
from pathlib import Path

from tasks.evaluation.verdicts import Estimate, Outcome
from tasks.pipeline import recheck
from tasks.promotion import overview
from tasks.promotion.readiness import checklist
from tasks.promotion.readiness.checklist import ReadinessResult
from tasks.promotion.readiness.facts import ReadinessFacts, ReadinessLine, State, conclusive_decisions
from tasks.promotion.readiness.lines import LINES, readiness_lines
from tasks.stores.runs import StepKey
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tasks.tuning.evidence import FrontPoint, TuningEvidence
from tests.feeds import mini
from tests.feeds.mini import NAME
from tests.promotion.moves.moving import promote_2
from tests.promotion.readiness import standings as s
from tests.stores.mlflow_home import new_home
from tests.tuning.tuning_documents import evidence
from tests.verdicts import subject_of


def _states(result: ReadinessResult) -> dict[str, State]:
    return {line.name: line.state for line in result.lines}


def test_the_champion_is_read_and_each_line_names_where_from(workspace: Workspace) -> None:
    result = checklist.run(workspace)
    states = _states(result)
    assert (result.release, result.champion, result.ready) == (1, True, False)
    assert states["composition versioned"] is State.NOT_MET  # utility.yaml has version 2 since
    met = ("tasks explicit", "windows defined", "maturity handled", "masks", "delayed outcomes no negatives")
    assert {states[name] for name in (*met, "loss weights versioned", "component view")} == {State.MET}
    assert all(line.sources for line in result.lines if line.state is State.MET)


def test_without_a_champion_the_newest_release_is_read(untouched: Workspace) -> None:
    result = checklist.run(untouched)
    newest = max(one["version"] for one in untouched.releases.summaries())
    assert (result.release, result.champion) == (newest, False)
    pinned, digests = untouched.releases.manifest(newest).contracts, untouched.contracts.digests
    in_force = all(pinned[kind] == digests[kind] for kind in ("utility", "slate"))
    assert _states(result)["composition versioned"] is (State.MET if in_force else State.NOT_MET)


def test_a_promotion_that_changed_the_policy_names_its_experiment(workspace: Workspace) -> None:
    promote_2(workspace)
    (line,) = [one for one in checklist.run(workspace).lines if one.name.startswith("policy changes")]
    assert (line.state, line.why) == (State.MET, "feed-142 for release 2")


def test_after_a_tuning_the_release_is_read_by_its_simulation(workspace: Workspace) -> None:
    with workspace.store.runs.step(StepKey(NAME, "tune", "weights"), tags={"release": 2}) as run:
        run.evidence(tuning(workspace))
    try:
        evaluated = recheck(workspace, 2)
        (front,) = [gate for gate in evaluated.evidence.to_json()["gates"] if subject_of(gate) == "front"]
        assert front["evidence"] == run.run_id
        found = overview.read(workspace)
        assert found.problems == ()
        assert 2 in found.evidence
        promote_2(workspace)
        result = checklist.run(workspace)
        (line,) = [line for line in result.lines if line.name == "component view"]
        assert line.state is State.MET
        simulated = evaluated.evidence.runs.simulation
        assert simulated in mini.step_runs(workspace, "simulate", release=2)
        assert line.sources == (simulated,)
    finally:
        workspace.store.registry.client.delete_run(run.run_id)
        recheck(workspace, 2)


def tuning(workspace: Workspace) -> TuningEvidence:
    """A search whose front has a better point than the weights in force."""
    weights = {task: term.weight for task, term in workspace.contracts.utility.weights.items()}
    better = {task: 2 * weight for task, weight in weights.items()}
    gain = Estimate(0.03, 0.01, 0.05, 400)
    point = FrontPoint(trial=7, weights=better, searched=(0.1,), confirmed=(gain,), dominated=False)
    return evidence(current=weights, front=(point,), knee=7, proposal=None)


def test_before_any_release_nothing_is_made_up(workspace: Workspace, tmp_path: Path) -> None:
    result = checklist.run(replace(workspace, store=Store.open(new_home(tmp_path / "home"))))
    assert (result.release, result.champion, result.ready) == (None, False, False)
    states = _states(result)
    assert states["guardrails defined"] is State.MET
    assert states["masks"] is State.NOT_MET


def test_a_replay_whose_files_were_lost_is_missing_and_ends_no_run(workspace: Workspace) -> None:
    (run_id, *_) = mini.step_runs(workspace, "simulate", release=1)
    folder = workspace.store.registry.client.get_run(run_id).info.artifact_uri
    file = Path(folder.removeprefix("file://")) / "evidence.json"
    kept = file.rename(file.with_suffix(".kept"))
    try:
        states = _states(checklist.run(workspace))
    finally:
        kept.rename(file)
    assert states["component view"] is State.NOT_MET
    assert states["masks"] is State.MET


NAMES = """tasks explicit; windows defined; maturity handled; masks; loss weights versioned; utility weights separate;
predictions calibrated; composition versioned; guardrails defined; hard constraints are filters; segments monitored;
delayed outcomes no negatives; negatives handled; business balanced with user value; reranker for slates;
component view; policy changes tracked as experiments"""


def test_the_list_holds_its_seventeen_lines_in_order(tmp_path: Path) -> None:
    lines = readiness_lines(s.facts(s.contracts(tmp_path)))
    assert [line.name for line in lines] == [name.strip() for name in NAMES.replace("\n", " ").split(";")]
    assert len({*LINES}) == 17


def test_a_sound_surface_meets_every_line_and_says_by_what(tmp_path: Path) -> None:
    lines = readiness_lines(s.facts(s.contracts(tmp_path)))
    assert {line.state for line in lines} == {State.MET}
    assert all(line.why and line.sources for line in lines)


def test_before_there_is_a_release_contract_lines_are_met_and_the_others_say_what_is_missing(
    tmp_path: Path,
) -> None:
    states = {line.name: line.state for line in readiness_lines(ReadinessFacts(s.contracts(tmp_path)))}
    met = {name for name, state in states.items() if state is State.MET}
    assert met == {
        "tasks explicit",
        "windows defined",
        "utility weights separate",
        "guardrails defined",
        "hard constraints are filters",
        "negatives handled",
        "business balanced with user value",
        "reranker for slates",
    }
    assert states["policy changes tracked as experiments"] is State.NOT_APPLICABLE


def test_an_empty_source_is_no_source() -> None:
    assert ReadinessLine.met("masks", "none", "", "run-1").sources == ("run-1",)


def test_a_judgement_gives_the_verdicts_of_one_gate_and_outcome() -> None:
    evaluated = s.reading()
    assert [str(v.subject) for v in evaluated.of("decision")] == ["back_2d_rate"]
    assert evaluated.of("decision", outcome=Outcome.BLOCK) == ()
    assert conclusive_decisions(evaluated.verdicts) == {"back_2d_rate"}


def test_a_state_reads_as_words() -> None:
    assert [state.value for state in State] == ["met", "not met", "not applicable"]
