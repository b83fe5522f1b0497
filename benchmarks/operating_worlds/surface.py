"""The contracts of a simulated world: ``home_feed`` as shipped, with fewer tasks and test days of one's own.

A task that is left out takes its weights, guardrails and settings with it; all else stays as reviewed.
"""

from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import yaml

from tasks.contracts import Contracts
from tasks.contracts.load import read_yaml
from tasks.training.slices import learning_window, time_until_known

SURFACE: Final = "home_feed"
SHIPPED: Final = Path(__file__).parents[2] / "surfaces" / SURFACE
TASKS: Final = ("click_30m", "add_to_cart_1d", "purchase_7d", "satisfied_7d", "hide_7d", "report_7d")
"""Tasks of the utility that are known within eight days; with what they are composed of."""

Plain = dict[str, Any]


def write_surface(
    folder: Path,
    *,
    tasks: Collection[str],
    split: Mapping[str, str],
    changed: Mapping[str, Plain] | None = None,
) -> Path:
    """Write the contracts into ``folder``; return it.

    Parameters
    ----------
    tasks : the tasks to keep; the parts and parents that they need are kept as well.
    split : the lengths of slices that replace the shipped ones.
    changed : keys that replace those of a task.
    """
    files = {file.name: read_yaml(file) for file in sorted(SHIPPED.glob("*.yaml"))}
    specs = files["tasks.yaml"]["tasks"]
    for name, keys in (changed or {}).items():
        specs[name] = {**specs[name], **keys}
    names = _with_parts(specs, tasks)
    files["tasks.yaml"]["tasks"] = {name: spec for name, spec in specs.items() if name in names}
    absent = specs.keys() - names
    files["utility.yaml"] = _utility(files["utility.yaml"], absent)
    files["surface.yaml"] = _surface(files["surface.yaml"], absent, split)
    (folder / SURFACE).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / SURFACE / name).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return folder


def days_of_history(contracts: Contracts) -> int:
    """Return the days that a release needs: its slices, the embargoes between them, and its labels' maturity.

    Examples
    --------
    >>> from tasks.contracts import load_surface
    >>> days_of_history(load_surface(SHIPPED.parent, SURFACE))
    153
    """
    spec, split = contracts.tasks, contracts.surface.split
    needed = (2 * time_until_known(spec, name) + learning_window(contracts, name) for name in spec.tasks)
    return -(-(max(needed) + split.train + split.calibrate + split.test) // timedelta(days=1))


def _with_parts(specs: Mapping[str, Plain], tasks: Collection[str]) -> set[str]:
    """Return tasks with the parts of composites and the parents of conditional tasks."""
    names, waiting = set[str](), list(tasks)
    while waiting:
        name = waiting.pop()
        names.add(name)
        spec = specs[name]
        parts = [part for group in spec.get("compose", {}).values() for part in group]
        parent = spec.get("positive", {}).get("after")
        waiting += [part for part in (*parts, parent) if part is not None and part not in names]
    return names


def _utility(plain: Plain, absent: Collection[str]) -> Plain:
    contexts = [{**context, "weights": _without(context["weights"], absent)} for context in plain["contexts"]]
    return {
        **plain,
        "weights": _without(plain["weights"], absent),
        "contexts": [context for context in contexts if context["weights"]],
        "relevance_floor": _without(plain["relevance_floor"], absent),
        "guardrails": [rail for rail in plain["guardrails"] if not rail["metric"].startswith(tuple(absent))],
    }


def _surface(plain: Plain, absent: Collection[str], split: Mapping[str, str]) -> Plain:
    freshness = plain["gates"]["freshness"]
    freshness = {**freshness, "parts": _without(freshness["parts"], absent)}
    pairs = [pair for pair in plain["proxies"] if not {pair["fast"], pair["slow"]} & {*absent}]
    return {
        **plain,
        "split": {**plain["split"], **split},
        "lightgbm": _without(plain["lightgbm"], absent),
        "base_rates": _without(plain["base_rates"], absent),
        "proxies": pairs,
        "gates": {**plain["gates"], "freshness": freshness},
    }


def _without(plain: Plain, absent: Collection[str]) -> Plain:
    return {name: value for name, value in plain.items() if name not in absent}
