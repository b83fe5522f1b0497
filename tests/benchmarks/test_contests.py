"""What the calibration benchmark says of its ratios: by line, over the seeds, and against what is asked."""

from dataclasses import replace

import pytest

from benchmarks.calibrating.contests import Contest, summary

MET = Contest("additive", over_isotonic=0.98, entropy=0.99, error=0.5, processor=40.0, wall=20.0)
WORSE = replace(MET, entropy=1.02)
WITHOUT_MCGRAD = Contest("drift", over_isotonic=1.0004, entropy=None, error=None, processor=None, wall=None)
WITHOUT_ISOTONIC = replace(MET, over_isotonic=None)


def told(*contests: Contest) -> list[str]:
    return list(summary(contests))


def asked(*contests: Contest) -> str:
    """Return the line that holds all against MCGrad."""
    (line,) = (line for line in told(*contests) if line.startswith("at or below MCGrad's"))
    return line


@pytest.mark.parametrize(("ratio", "verdict"), [(0.9999, "won"), (1.0, "tied"), (1.0001, "lost")])
def test_below_one_is_won_and_exactly_one_is_tied(ratio: float, verdict: str) -> None:
    _, against = replace(MET, entropy=ratio, error=ratio).lines()
    assert against == (
        f"ours / MCGrad: entropy {ratio:.4f} ({verdict}), multicalibration error {ratio:.2f} ({verdict}), "
        "fit 40 times faster by the processor, 20 by the wall"
    )


def test_each_figure_has_a_verdict_of_its_own() -> None:
    _, against = replace(MET, entropy=1.2, error=0.8).lines()
    assert "entropy 1.2000 (lost), multicalibration error 0.80 (won)" in against


@pytest.mark.parametrize(
    ("contest", "beginnings"),
    [
        (MET, ["ours / one isotonic: entropy 0.9800 (at most 1.001)", "ours / MCGrad: "]),
        (WITHOUT_MCGRAD, ["ours / one isotonic: entropy 1.0004 (at most 1.001)"]),
        (WITHOUT_ISOTONIC, ["ours / MCGrad: "]),
        (replace(WITHOUT_MCGRAD, over_isotonic=None), []),
    ],
)
def test_nothing_is_said_of_a_peer_that_did_not_run(contest: Contest, beginnings: list[str]) -> None:
    lines = list(contest.lines())
    assert len(lines) == len(beginnings)
    assert all(line.startswith(beginning) for line, beginning in zip(lines, beginnings, strict=True))


def test_seeds_of_a_data_set_are_counted_and_averaged_under_its_name() -> None:
    seeds = [replace(MET, over_isotonic=ratio) for ratio in (0.9, 0.96, 1.0, 1.02)]
    lines = told(*seeds)
    assert lines[0].split() == ["over", "all", "seeds", "won", "tied", "lost", "mean", "ratio", "from", "to"]
    assert lines[1] == "additive"
    assert lines[2].split() == ["entropy", "/", "isotonic", "2", "1", "1", "0.9700", "0.9000", "1.0200"]
    assert lines[3].split() == ["entropy", "/", "MCGrad", "4", "0", "0", "0.9900", "0.9900", "0.9900"]
    assert lines[4].split() == ["error", "/", "MCGrad", "4", "0", "0", "0.5000", "0.5000", "0.5000"]


def test_a_seed_without_a_peer_counts_for_nothing_in_its_row() -> None:
    lines = told(MET, replace(WITHOUT_MCGRAD, name="additive"))
    assert lines[2].split()[-6:] == ["1", "0", "1", "0.9902", "0.9800", "1.0004"]
    assert lines[3].split()[-6:] == ["1", "0", "0", "0.9900", "0.9900", "0.9900"]


def test_data_sets_come_in_the_order_in_which_they_ran() -> None:
    names = [line for line in told(WITHOUT_MCGRAD, MET, WITHOUT_MCGRAD) if line in ("additive", "drift")]
    assert names == ["drift", "additive"]


def test_the_worst_seed_is_held_against_one_isotonic() -> None:
    lines = told(MET, replace(MET, over_isotonic=1.0021), WITHOUT_MCGRAD)
    assert "entropy at most 1.0021 of one isotonic's (asked: 1.001)" in lines


@pytest.mark.parametrize(
    ("entropies", "errors", "met"),
    [
        ((0.98, 1.01), (0.5, 0.5), 1),  # one seed is lost, their mean of .995 is not
        ((0.98, 1.03), (0.5, 0.5), 0),  # a mean of 1.005
        ((0.98, 1.02), (0.5, 0.5), 1),  # a mean of 1: at MCGrad's
        ((0.98, 0.98), (0.5, 1.7), 0),  # the entropy is met, the error of 1.1 is not
    ],
)
def test_the_mean_over_the_seeds_decides_and_both_figures_have_to_be_met(
    entropies: tuple[float, float], errors: tuple[float, float], met: int
) -> None:
    seeds = [replace(MET, entropy=one, error=other) for one, other in zip(entropies, errors, strict=True)]
    assert f"on {met} of 1 data sets (asked: 3 of 4)" in asked(*seeds)


def test_data_sets_are_counted_among_those_that_mcgrad_ran_on() -> None:
    line = asked(MET, replace(MET, name="other"), replace(WORSE, name="third"), WITHOUT_MCGRAD)
    assert "on 2 of 3 data sets (asked: 3 of 4)" in line


def test_the_least_speed_by_the_processor_is_told() -> None:
    line = asked(MET, replace(MET, processor=12.0, wall=300.0))
    assert line.endswith("fit 12 times faster at least, by the processor (asked: 10)")


def test_where_no_peer_ran_nothing_is_held_against_what_is_asked() -> None:
    none = replace(WITHOUT_MCGRAD, over_isotonic=None)
    assert told(none) == [told(none)[0], "drift"]
    assert told(WITHOUT_MCGRAD)[-1] == "entropy at most 1.0004 of one isotonic's (asked: 1.001)"
    assert told() == [told(none)[0]]
