"""One function a command: call a step, return its result and the exit code.

Steps are imported inside, so that ``--help`` does not wait for MLflow.
"""

import argparse
from typing import Any

from tasks.steps.context import Context, surfaces_folder

Arguments = argparse.Namespace
Answer = tuple[Any, int]


def _context(arguments: Arguments) -> Context:
    return Context.open(arguments.surface, surfaces=arguments.surfaces, home=arguments.home)


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
    from tasks.adapters.complete_journey import import_complete_journey

    return import_complete_journey(out=arguments.out, source=arguments.source), 0


def world(arguments: Arguments) -> Answer:
    from tasks.world.generate import generate

    made = generate(
        days=arguments.days,
        requests_per_day=arguments.requests_per_day,
        seed=arguments.seed,
        out=arguments.out,
    )
    return made, 0


def labels_sql(arguments: Arguments) -> Answer:
    from tasks.labels.compile import contract_log, labels_sql

    contracts = _context(arguments).contracts
    log = contract_log(contracts.surface, contracts.tasks)
    return {"sql": labels_sql(contracts.tasks, None, arguments.dialect, log=log)}, 0


def labels_build(arguments: Arguments) -> Answer:
    from tasks.steps import labels

    built = labels.run(
        _context(arguments),
        as_of=arguments.as_of,
        first_day=arguments.first_day,
        last_day=arguments.last_day,
    )
    return built, 0


def labels_show(arguments: Arguments) -> Answer:
    from tasks.steps import labels

    return labels.show(_context(arguments), snapshot=arguments.snapshot), 0


def labels_export(arguments: Arguments) -> Answer:
    from tasks.steps import labels

    return labels.export(_context(arguments), out=arguments.out, format=arguments.format), 0


def _snapshot(context: Context, arguments: Arguments) -> str:
    from tasks.steps import labels

    return labels.run(context, as_of=arguments.as_of).snapshot


def validate(arguments: Arguments) -> Answer:
    from tasks.steps import validate

    context = _context(arguments)
    result = validate.run(context, as_of=arguments.as_of, snapshot=_snapshot(context, arguments))
    return result, 0 if result.success else 1


def _published(arguments: Arguments) -> tuple[Context, str]:
    """Build and validate the labels that a single training step needs."""
    from tasks.errors import GateRefused
    from tasks.steps import validate

    context = _context(arguments)
    snapshot = _snapshot(context, arguments)
    checked = validate.run(context, as_of=arguments.as_of, snapshot=snapshot)
    if not checked.success:
        raise GateRefused(f"The labels failed their suite ({checked.severity}). Report: {checked.report}")
    return context, snapshot


def train(arguments: Arguments) -> Answer:
    from tasks.steps import train

    context, snapshot = _published(arguments)
    return train.run(context, task=arguments.task, as_of=arguments.as_of, snapshot=snapshot), 0


def calibrate(arguments: Arguments) -> Answer:
    from tasks.steps import calibrate, train

    context, snapshot = _published(arguments)
    common = {"task": arguments.task, "as_of": arguments.as_of, "snapshot": snapshot}
    model = train.run(context, **common)
    return calibrate.run(context, **common, model_version=model.version), 0


def retrain(arguments: Arguments) -> Answer:
    from tasks.steps import retrain

    tasks = [task for task in (arguments.tasks or "").split(",") if task]
    result = retrain.run(_context(arguments), as_of=arguments.as_of, tasks=tasks, cadence=arguments.cadence)
    return result, 0 if result.verdict == "promote" else 1


def simulate(arguments: Arguments) -> Answer:
    from tasks.steps import release_view, simulate

    context = _context(arguments)
    version = release_view.resolve_release(context, arguments.release)
    policies = tuple(arguments.policy or ())
    result = simulate.run(context, release=version, baseline=arguments.baseline, policies=policies)
    return result, 0


def shadow(arguments: Arguments) -> Answer:
    from tasks.steps import release_view, shadow

    context = _context(arguments)
    champion = arguments.champion and release_view.resolve_release(context, arguments.champion)
    result = shadow.run(
        context,
        as_of=arguments.as_of,
        challenger=release_view.resolve_release(context, arguments.challenger),
        champion=champion,
    )
    return result, 0


def release_list(arguments: Arguments) -> Answer:
    from tasks.steps import release_view

    return release_view.list_releases(_context(arguments)), 0


def release_show(arguments: Arguments) -> Answer:
    from tasks.steps import release_view

    return release_view.show(_context(arguments), arguments.ref), 0


def release_verify(arguments: Arguments) -> Answer:
    from tasks.steps import release_view

    result = release_view.verify(_context(arguments), arguments.ref)
    return result, 0 if not result.problems else 1


def score(arguments: Arguments) -> Answer:
    from tasks.steps import score

    return score.run(
        _context(arguments), release=arguments.release, source=arguments.input, out=arguments.out
    ), 0


def explain(arguments: Arguments) -> Answer:
    from tasks.steps import score

    result = score.explain(
        _context(arguments), release=arguments.release, source=arguments.input, request=arguments.request
    )
    return result, 0
