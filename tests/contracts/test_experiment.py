"""The contract of an experiment: what a file may ask of its surface, and how each mistake is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.contracts import load_surface
from tasks.contracts.experiment import ExperimentSpec, check_experiments, experiment_names, load_experiment
from tasks.errors import ContractError
from tests.contracts.files import write_surface

PLAIN: dict[str, Any] = {
    "experiment": "feed-cap",
    "version": 1,
    "surface": "feed",
    "owner": "ranking",
    "arms": {"control": {"release": "champion"}, "treatment": {"release": 7}},
    "shares": {"control": 0.5, "treatment": 0.5},
    "starts": "2026-03-02",
    "ends": "2026-03-23",
    "primary": {"metric": "observed_utility", "relative_decrease_max": 0.0},
    "guardrails": [
        {"metric": "return_rate", "relative_increase_max": 0.1, "critical": True},
        {"metric": "latency_p99_ms", "max": 120},
    ],
    "segments": [],
    "smallest_effect": 0.02,
    "cuped": {"days": 14},
}


def load(folder: Path, **changes: Any) -> ExperimentSpec:
    surfaces = write_surface(folder / "surfaces")
    (folder / "experiments").mkdir()
    (folder / "experiments" / "feed-cap.yaml").write_text(yaml.safe_dump(PLAIN | changes), encoding="utf-8")
    return load_experiment(surfaces, "feed-cap", load_surface(surfaces, "feed"))


def test_a_valid_file_names_its_arms_its_days_and_its_metrics_with_the_primary_first(tmp_path: Path) -> None:
    spec = load(tmp_path)
    assert (spec.treatment, spec.arms["treatment"].release) == ("treatment", 7)
    assert [instant.isoformat() for instant in spec.instants] == [
        "2026-03-02T00:00:00+00:00",
        "2026-03-23T00:00:00+00:00",
    ]
    assert spec.metrics == ("observed_utility", "return_rate", "latency_p99_ms")
    assert experiment_names(tmp_path / "surfaces") == ("feed-cap",)


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "shares that do not sum": ({"shares": {"control": 0.5, "treatment": 0.4}}, "sum to 0.9, not to 1"),
    "shares of an unknown arm": ({"shares": {"control": 0.5, "treatmnt": 0.5}}, "not of control, treatmnt"),
    "no control": ({"arms": {"a": {"release": 1}, "b": {"release": 2}}}, "'control' and one other"),
    "a control that follows": (
        {"arms": {"control": {"release": "champion", "follows": True}, "treatment": {"release": 7}}},
        "'control' may not follow an alias",
    ),
    "a version that is followed": (
        {"arms": {"control": {"release": 7}, "treatment": {"release": 8, "follows": True}}},
        "follows needs an alias",
    ),
    "days out of order": ({"ends": "2026-03-02"}, "must be later than starts"),
    "no day": ({"starts": "soon"}, "starts"),
    "unknown metric": ({"primary": {"metric": "clik_rate"}}, "Did you mean 'click_rate'"),
    "a metric of no user": (
        {"guardrails": [{"metric": "click_predicted", "max": 1}]},
        "is no outcome of users",
    ),
    "unknown segment": ({"segments": ["regoin"]}, "Unknown segment 'regoin'"),
    "another surface": ({"surface": "fed"}, "Did you mean 'feed'"),
    "a relative latency": (
        {"guardrails": [{"metric": "latency_p99_ms", "relative_increase_max": 0.1}]},
        "takes max alone",
    ),
    "another name": ({"experiment": "feed-cup"}, "must be the file's name, feed-cap"),
    "unknown key": ({"smalest_effect": 0.1}, "Did you mean 'smallest_effect'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_what_is_known(tmp_path: Path, mistake: str) -> None:
    changes, named = MISTAKES[mistake]
    with pytest.raises(ContractError, match=r"in the experiment .*feed-cap\.yaml") as found:
        load(tmp_path, **changes)
    assert named in str(found.value)


def test_an_unknown_experiment_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    load(tmp_path)
    surfaces = tmp_path / "surfaces"
    with pytest.raises(ContractError, match="Did you mean 'feed-cap'"):
        load_experiment(surfaces, "feed-cup", load_surface(surfaces, "feed"))


@pytest.mark.parametrize(
    ("change", "same"),
    [(lambda plain: plain.update(unit="user_id"), True), (lambda plain: plain.update(version=2), False)],
    ids=["a default", "a version"],
)
def test_the_digest_is_of_the_content(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], *, same: bool
) -> None:
    changed = dict(PLAIN)
    change(changed)
    specs = [load(tmp_path / name, **plain) for name, plain in (("a", PLAIN), ("b", changed))]
    assert (specs[0].digest == specs[1].digest) is same


def test_a_check_of_the_surface_names_the_problems_of_its_experiments(tmp_path: Path) -> None:
    load(tmp_path)
    folder, contracts = tmp_path / "experiments", load_surface(tmp_path / "surfaces", "feed")
    assert list(check_experiments(tmp_path / "surfaces", contracts)) == []
    for name, text in {
        "torn": "experiment: [",
        "other": yaml.safe_dump(PLAIN | {"surface": "shop", "experiment": "other", "ends": "soon"}),
        "late": yaml.safe_dump(PLAIN | {"experiment": "late", "segments": ["ages"]}),
    }.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    problems = list(check_experiments(tmp_path / "surfaces", contracts))
    assert [(one.file, one.field) for one in problems] == [("late.yaml", "segments"), ("torn.yaml", "")]
