"""The words of the world agree with one another and with the contracts of home_feed."""

from pathlib import Path

from tasks.contracts import load_surface
from tasks.datasets.world import vocabulary as v

SURFACES = Path(__file__).parents[3] / "surfaces"


def test_the_curve_has_a_probability_for_every_slot_and_only_falls() -> None:
    assert len(v.EXAMINATION) == v.SLOTS
    assert v.EXAMINATION[0] == 1.0
    assert list(v.EXAMINATION) == sorted(v.EXAMINATION, reverse=True)


def test_the_surface_declares_the_curve_of_the_world() -> None:
    declared = load_surface(SURFACES, "home_feed").surface.examination_curve
    assert declared == v.EXAMINATION


def test_every_source_has_its_code() -> None:
    codes = (v.PERSONAL, v.TRENDING, v.FOLLOWING, v.FRESH, v.SPONSORED, v.EXPLORE)
    assert [v.SOURCES[code] for code in codes] == list(v.SOURCES)


def test_codes_that_mean_no_region_are_no_region() -> None:
    assert {v.EVERYWHERE, v.PERMIT_UNKNOWN}.isdisjoint(range(len(v.REGIONS)))
