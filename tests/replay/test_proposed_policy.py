"""A policy that no surface holds yet is held against a surface's contracts before anything is replayed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.contracts import Contracts
from tasks.contracts.load import load_surface, read_policy, read_yaml
from tasks.contracts.slate import Decay
from tasks.errors import ContractError
from tests.feeds.mini import NAME


@pytest.fixture(scope="module")
def contracts(mini_surfaces: Path) -> Contracts:
    return load_surface(mini_surfaces, NAME)


@pytest.fixture
def plain(mini_surfaces: Path) -> dict[str, Any]:
    """The utility policy of the surface, as YAML reads it."""
    return read_yaml(mini_surfaces / NAME / "utility.yaml")


def _write(folder: Path, plain: dict[str, Any], **weights: float) -> Path:
    """Write a policy with other weights."""
    file = folder / "policy.yaml"
    file.write_text(yaml.safe_dump(plain | {"weights": plain["weights"] | weights}), encoding="utf-8")
    return file


def test_a_policy_with_another_weight_is_read(
    contracts: Contracts, plain: dict[str, Any], tmp_path: Path
) -> None:
    policy = read_policy(_write(tmp_path, plain, hide_2d=-50.0), contracts)
    assert policy.weights["hide_2d"].weight == -50.0
    assert policy.weights["click_30m"] == contracts.utility.weights["click_30m"]


@pytest.mark.parametrize(
    ("weights", "problem"),
    [
        ({"hyde_2d": -50.0}, r"weights\.hyde_2d.*Did you mean 'hide_2d'"),
        ({"hide_2d": 5.0}, r"weights\.hide_2d = 5\.0: a task of the family negative"),
    ],
)
def test_a_policy_that_the_surface_would_refuse_is_refused(
    contracts: Contracts, plain: dict[str, Any], tmp_path: Path, weights: dict[str, float], problem: str
) -> None:
    policy = _write(tmp_path, plain, **weights)
    with pytest.raises(
        ContractError, match=rf"policy\.yaml is not a utility policy for home_feed: .*{problem}"
    ):
        read_policy(policy, contracts)


def test_a_policy_that_the_slate_of_the_surface_does_not_fit_is_refused(
    contracts: Contracts, plain: dict[str, Any], tmp_path: Path
) -> None:
    decay = Decay(by="creator", factor=0.5)
    fading = replace(contracts, slate=contracts.slate.model_copy(update={"decay": decay}))
    policy = _write(tmp_path, plain | {"offset": {"scale": 0.001}})
    assert read_policy(policy, fading).offset is not None
    with pytest.raises(
        ContractError, match=r"slate\.yaml: decay = 'creator': needs an offset in utility\.yaml"
    ):
        read_policy(_write(tmp_path, plain), fading)
    short = {"name": "short", "when": {"page": "home"}, "slate": {"length": 1}}
    least = contracts.slate.model_copy(update={"min_where_if_available": {"new": 1, "local": 1}})
    with pytest.raises(ContractError, match=r"contexts\.0\.slate\.min_where_if_available.*asks for 2 of 1"):
        read_policy(_write(tmp_path, plain | {"contexts": [short]}), replace(contracts, slate=least))


def test_a_file_that_is_no_policy_is_named(contracts: Contracts, mini_surfaces: Path) -> None:
    with pytest.raises(ContractError, match=r"slate\.yaml is not a utility policy"):
        read_policy(mini_surfaces / NAME / "slate.yaml", contracts)


def test_a_file_that_is_not_there_is_named(contracts: Contracts, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"nowhere\.yaml"):
        read_policy(tmp_path / "nowhere.yaml", contracts)
