"""What a step writes comes back as it was; what this program does not know is refused and named."""

import copy
import json
import math
from random import Random
from typing import Any

import pytest

from tasks.errors import ContractError, StoreError
from tasks.evaluation.documents import MaybeFloat, Section
from tests.evaluation import written

SHAPES: tuple[Any, ...] = ([], None, "x", 7, {}, [[]], [None], {"a": {}}, True, [["y"]])


class Told(Section):
    auc: MaybeFloat


def missing(new: Any, old: Any, place: str = "") -> list[str]:
    """Name what stands in plain JSON and not, or otherwise, in other JSON."""
    if isinstance(old, dict):
        return [m for key in old for m in missing(new.get(key, "absent"), old[key], f"{place}/{key}")]
    if isinstance(old, list) and len(old) == len(new):
        return [m for i, item in enumerate(old) for m in missing(new[i], item, f"{place}/{i}")]
    return [] if new == old else [f"{place}: {old!r} became {new!r}"]


@pytest.mark.parametrize("name", written.KINDS)
def test_an_example_loads_with_every_figure(name: str) -> None:
    document = written.document(name)
    assert missing(document.to_json(), written.plain(name)) == []
    assert document.to_json()["version"] == 1


@pytest.mark.parametrize("name", written.KINDS)
def test_a_document_comes_back_as_it_was(name: str) -> None:
    plain = written.document(name).to_json()
    again = written.KINDS[name].read(json.dumps(plain, allow_nan=False), where="Run r1")
    assert again.to_json() == plain


@pytest.mark.parametrize("name", written.KINDS)
def test_an_unknown_key_is_refused_and_named(name: str) -> None:
    text = json.dumps({**written.document(name).to_json(), "surprise": 1})
    with pytest.raises(StoreError, match=r"Run r1 holds no \w+ evidence of version 1: surprise"):
        written.KINDS[name].read(text, where="Run r1")


def _places(plain: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = plain.items() if isinstance(plain, dict) else enumerate(plain) if isinstance(plain, list) else ()
    return [path, *(place for key, value in inside for place in _places(value, (*path, key)))]


def _with(plain: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.copy(plain)
    changed[path[0]] = _with(plain[path[0]], path[1:], value)
    return changed


@pytest.mark.parametrize("name", written.KINDS)
def test_evidence_of_another_shape_is_refused_with_its_run_and_never_a_crash(name: str) -> None:
    dice, refused = Random(14), 0  # noqa: S311 - a seed
    plain = written.plain(name)
    places = _places(plain)
    for path in [(), *dice.sample(places, min(len(places), 150))]:
        for value in SHAPES:
            text = json.dumps(_with(plain, path, value))
            try:
                written.KINDS[name].read(text, where="Run r1")
            except (StoreError, ContractError) as error:
                refused += "Run r1" in str(error)
    assert refused > 50


@pytest.mark.parametrize("text", ["[]", "null", "7", '"x"', "", "{", "[" * 100_000, "\ud800", "{}"])
def test_what_is_no_document_at_all_is_refused(text: str) -> None:
    with pytest.raises(StoreError, match=r"Run r1 holds no release evidence"):
        written.KINDS["release"].read(text, where="Run r1")


def test_an_unknown_key_far_inside_is_refused_with_its_place() -> None:
    plain = written.document("release").to_json()
    plain["tasks"][0]["figures"][2]["median"] = 0.5
    with pytest.raises(StoreError, match=r"release evidence of version 1: tasks\.0\.figures\.2\.\S*median"):
        written.KINDS["release"].read(json.dumps(plain), where="Run r1")


def test_a_newer_version_is_refused_with_the_way_out() -> None:
    text = json.dumps({**written.document("shadow").to_json(), "version": 2})
    with pytest.raises(
        StoreError, match=r"evidence of version 2; this program reads version 1.*Use the program"
    ):
        written.KINDS["shadow"].read(text, where="Run r1")


def test_the_evidence_of_another_step_is_refused_as_wrong_use() -> None:
    text = json.dumps(written.document("shadow").to_json())
    with pytest.raises(ContractError, match="Run r1 holds shadow evidence, not gate"):
        written.KINDS["gate"].read(text, where="Run r1")


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '{"release": 1}'])
def test_what_is_no_such_document_at_all_is_refused(text: str) -> None:
    with pytest.raises(StoreError, match=r"Run r1 holds no simulation evidence.*Run its step again"):
        written.KINDS["simulation"].read(text, where="Run r1")


def test_what_cannot_be_told_is_null_in_json_and_not_a_number_in_python() -> None:
    assert Told(auc=math.nan).to_json() == {"auc": None}
    assert Told(auc=math.inf).to_json() == {"auc": None}
    assert math.isnan(Told.model_validate({"auc": None}).auc)
