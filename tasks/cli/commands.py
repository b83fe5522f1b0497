"""One function a command: call a step, return its result and the exit code.

Steps are imported inside, so that ``--help`` does not wait for MLflow.
"""

import argparse
from dataclasses import replace
from getpass import getuser
from typing import TYPE_CHECKING, Any

from tasks.errors import ContractError
from tasks.stores.workspace import Workspace, surfaces_folder

if TYPE_CHECKING:
    from tasks.promotion.promote import MoveResult

Arguments = argparse.Namespace
Answer = tuple[Any, int]


def _workspace(arguments: Arguments) -> Workspace:
    return Workspace.open(arguments.surface, surfaces=arguments.surfaces, home=arguments.home)


def check(arguments: Arguments) -> Answer:
    from tasks.contracts import check_surface, surface_names

    root = surfaces_folder(arguments.surfaces)
    names = [arguments.surface] if arguments.surface else surface_names(root)
    checked = [check_surface(root, name) for name in names]
    report = {
        "valid": not any(c.problems for c in checked),
        "problems": [{"surface": c.surface, **p.to_json()} for c in checked for p in c.problems],
        "warnings": [{"surface": c.surface, **p.to_json()} for c in checked for p in c.warnings],
        "digests": {c.surface: dict(c.contracts.digests) for c in checked if c.contracts},
    }
    return report, 0 if report["valid"] else 1


def import_data(arguments: Arguments) -> Answer:
    if arguments.dataset == "kuairand":
        from tasks.datasets.kuairand import import_kuairand

        if arguments.source is None:
            raise ContractError(
                "kuairand comes in no package: name the folder of its download (--source DIR)"
            )
        return import_kuairand(out=arguments.out, source=arguments.source), 0
    from tasks.datasets.complete_journey import import_complete_journey

    return import_complete_journey(out=arguments.out, source=arguments.source), 0


def world(arguments: Arguments) -> Answer:
    from tasks.datasets.world.generate import generate
    from tasks.stores.location import filled

    with filled(arguments.out) as out:
        made = generate(
            days=arguments.days,
            requests_per_day=arguments.requests_per_day,
            seed=arguments.seed,
            out=out,
        )
    return replace(made, out=made.out if out == arguments.out else str(arguments.out)), 0


def labels_sql(arguments: Arguments) -> Answer:
    from tasks.labels.script import labels_script

    return {"sql": labels_script(_workspace(arguments).contracts, arguments.dialect)}, 0


def labels_build(arguments: Arguments) -> Answer:
    from tasks.labels import build as labels

    built = labels.run(
        replace(_workspace(arguments), engine=arguments.engine),
        as_of=arguments.as_of,
        first_day=arguments.first_day,
        last_day=arguments.last_day,
    )
    return built, 0


def labels_show(arguments: Arguments) -> Answer:
    from tasks.labels import build as labels

    return labels.show(_workspace(arguments), snapshot=arguments.snapshot), 0


def labels_explain(arguments: Arguments) -> Answer:
    from tasks.labels import explain as labels_explain

    explained = labels_explain.explain(
        _workspace(arguments), impression=arguments.impression, snapshot=arguments.snapshot
    )
    return explained, 0


def labels_diff(arguments: Arguments) -> Answer:
    from tasks.labels import compare as labels_diff

    found = labels_diff.diff(_workspace(arguments), before=arguments.before, after=arguments.after)
    return found.to_json(), 0


def labels_export(arguments: Arguments) -> Answer:
    from tasks.labels import build as labels

    return labels.export(_workspace(arguments), out=arguments.out, format=arguments.format), 0


def labels_vacuum(arguments: Arguments) -> Answer:
    from tasks.labels.vacuum import vacuum

    return vacuum(_workspace(arguments), keep=arguments.keep, dry_run=arguments.dry_run), 0


def _snapshot(workspace: Workspace, arguments: Arguments) -> str:
    from tasks.labels import build as labels

    return labels.run(workspace, as_of=arguments.as_of).snapshot


def validate(arguments: Arguments) -> Answer:
    from tasks.validation import step as validate

    workspace = _workspace(arguments)
    result = validate.run(workspace, as_of=arguments.as_of, snapshot=_snapshot(workspace, arguments))
    return result, 0 if result.success else 1


def _published(arguments: Arguments) -> tuple[Workspace, str]:
    """Return the snapshot that a single training step needs: the named one, else built and validated."""
    from tasks.errors import GateRefused
    from tasks.validation import step as validate

    workspace = _workspace(arguments)
    if arguments.snapshot:
        return workspace, arguments.snapshot
    snapshot, parent = _snapshot(workspace, arguments), arguments.parent_run
    checked = validate.run(workspace, as_of=arguments.as_of, snapshot=snapshot, parent_run=parent)
    if not checked.success:
        raise GateRefused(f"The labels failed their suite ({checked.severity}). Report: {checked.report}")
    return workspace, snapshot


def train(arguments: Arguments) -> Answer:
    from tasks.training import step as train

    workspace, snapshot = _published(arguments)
    result = train.run(
        workspace,
        task=arguments.task,
        as_of=arguments.as_of,
        snapshot=snapshot,
        parent_run=arguments.parent_run,
    )
    return result, 0


def calibrate(arguments: Arguments) -> Answer:
    from tasks.calibration import step as calibrate
    from tasks.training import step as train

    workspace, snapshot = _published(arguments)
    common = {
        "task": arguments.task,
        "as_of": arguments.as_of,
        "snapshot": snapshot,
        "parent_run": arguments.parent_run,
    }
    version = arguments.model_version or train.run(workspace, **common).version
    return calibrate.run(workspace, **common, model_version=version), 0


def retrain(arguments: Arguments) -> Answer:
    from tasks import pipeline as retrain

    tasks = [task for task in (arguments.tasks or "").split(",") if task]
    result = retrain.run(
        _workspace(arguments),
        as_of=arguments.as_of,
        tasks=tasks,
        cadence=arguments.cadence,
        parent_run=arguments.parent_run,
    )
    return result, 0 if result.verdict == "promote" else 1


def simulate(arguments: Arguments) -> Answer:
    from tasks.replay import simulate
    from tasks.stores import releases

    workspace = _workspace(arguments)
    version = releases.resolve_release(workspace, arguments.release)
    policies = tuple(arguments.policy or ())
    result = simulate.run(
        workspace,
        release=version,
        baseline=arguments.baseline,
        policies=policies,
        parent_run=arguments.parent_run,
    )
    return result, 0


def shadow(arguments: Arguments) -> Answer:
    from tasks.replay import shadow
    from tasks.stores import releases

    workspace = _workspace(arguments)
    champion = arguments.champion and releases.resolve_release(workspace, arguments.champion)
    result = shadow.run(
        workspace,
        as_of=arguments.as_of,
        challenger=releases.resolve_release(workspace, arguments.challenger),
        champion=champion,
        parent_run=arguments.parent_run,
    )
    return result, 0


def release_list(arguments: Arguments) -> Answer:
    from tasks.stores import releases

    return releases.list_releases(_workspace(arguments)), 0


def release_show(arguments: Arguments) -> Answer:
    from tasks.release import view as release_view

    return release_view.show(_workspace(arguments), arguments.ref), 0


def release_verify(arguments: Arguments) -> Answer:
    from tasks.release import view as release_view

    result = release_view.verify(_workspace(arguments), arguments.ref)
    return result, 0 if not result.problems else 1


def release_history(arguments: Arguments) -> Answer:
    from tasks.release import view as release_view

    return release_view.history(_workspace(arguments)), 0


def promote(arguments: Arguments) -> Answer:
    from tasks.promotion import promote
    from tasks.promotion.rules import Support

    support = Support(arguments.experiment, arguments.waiver)
    result = promote.run(
        _workspace(arguments), release=arguments.ref, why=arguments.why, by=_who(arguments), support=support
    )
    return _moved(result), 0


def rollback(arguments: Arguments) -> Answer:
    from tasks.promotion import rollback

    workspace, by = _workspace(arguments), _who(arguments)
    return _moved(rollback.run(workspace, why=arguments.why, by=by, to=arguments.to)), 0


def _who(arguments: Arguments) -> str:
    return (arguments.by or getuser()).strip()


def _moved(result: "MoveResult") -> dict[str, Any]:
    champion = result.champion
    made = result.moved.to_json() if result.moved else {"from": champion, "to": champion}
    return {"moved": result.moved is not None, **made}


def score(arguments: Arguments) -> Answer:
    from tasks.release import score

    return score.run(
        _workspace(arguments), release=arguments.release, source=arguments.input, out=arguments.out
    ), 0


def explain(arguments: Arguments) -> Answer:
    from tasks.release import score

    result = score.explain(
        _workspace(arguments), release=arguments.release, source=arguments.input, request=arguments.request
    )
    return result, 0
