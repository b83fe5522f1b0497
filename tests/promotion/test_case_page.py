"""What a reviewer reads before answering: the verdict, what is doubtful, what changes, and what it rests on."""

from tasks.contracts import UtilitySpec
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.promotion.case_page import Weighing, write_case
from tasks.promotion.rules import Case, Support
from tests.promotion.test_rules import EVIDENCE, a_case


def utility(**weights: object) -> UtilitySpec:
    plain = {"policy": "toy", "version": 1, "owner": "ranking", "approvals": ["product"]}
    return UtilitySpec.model_validate({**plain, "weights": weights})


def verdict(gate: str, subject: str, outcome: Outcome, *seen: float, **more: object) -> Verdict:
    observed = None
    if seen:
        figure, low, high = seen
        observed = Estimate(figure, low, high, 900)
    return Verdict(gate, subject, "all", outcome, "<= 0.005", observed, **more)  # type: ignore[arg-type]  # a table of fields


BEFORE = utility(click=0.4, buy={"weight": 20.0, "times": "margin"}, hide=-3.0)
AFTER = utility(click=1.6, buy={"weight": 20.0, "times": "margin"}, share=2.0)
CHANGED, NONE = Weighing(AFTER, BEFORE), Support()
VERDICTS = (
    verdict("data", "click.rows", Outcome.PASS, 1200, 1200, 1200),
    verdict("model", "click.auc_drop", Outcome.PASS, 0.001, -0.002, 0.004),
    verdict("decision", "hide_rate", Outcome.WARN, 0.05, 0.01, 0.09, relative=True),
    verdict("shadow", "overlap_at_k", Outcome.NO_RULE),
)


def page(
    case: Case,
    *,
    verdicts: tuple[Verdict, ...] = VERDICTS,
    weighing: Weighing = CHANGED,
    why: str = "carts rose",
    support: Support = NONE,
    links: dict[str, str] | None = None,
) -> str:
    return write_case(case, verdicts, weighing, why=why, support=support, links=links or {})


def test_the_whole_page_reads_like_this() -> None:
    case = a_case(changed=("utility",), warnings=("decision warn: hide_rate +5.0%",))
    links = {"release 4": "http://mlflow/4", "champion 3": "http://mlflow/3", "dossier": ""}
    assert page(case, support=Support(experiment="feed-142"), links=links) == "\n".join(
        [
            "The gates say **promote** beside champion 3: 2 pass, 1 warn, 1 no_rule.",
            "",
            "Why: carts rose",
            "",
            "- decision warn: hide_rate +5.0%",
            "",
            "| figure | observed | allowed | verdict |",
            "| --- | --- | --- | --- |",
            "| hide_rate | +5.0% [+1.0%, +9.0%] | <= 0.005 | warn |",
            "| click.auc_drop | 0.001 [-0.002, 0.004] | <= 0.005 | pass |",
            "",
            "It changes utility.yaml. Supported by the experiment feed-142.",
            "",
            "| weight | champion | release |",
            "| --- | --- | --- |",
            "| click | 0.4 | 1.6 |",
            "| share | none | 2 |",
            "| hide | -3 | none |",
            "",
            "[release 4](http://mlflow/4) · [champion 3](http://mlflow/3)",
            "",
            f"Evidence `{EVIDENCE}`",
        ]
    )


def test_a_waiver_is_shown_as_what_it_is() -> None:
    told = page(a_case(changed=("tasks", "slate")), support=Support(waiver="a legal duty"))
    assert "It changes tasks.yaml, slate.yaml. Without an experiment: a legal duty" in told


def test_a_release_that_changes_no_policy_says_so() -> None:
    told = page(a_case(), weighing=Weighing(BEFORE, BEFORE))
    assert "Tasks, utility and slate policy are those of champion 3." in told
    assert "| weight |" not in told


def test_the_first_release_has_nothing_to_change() -> None:
    told = page(a_case(champion=None), weighing=Weighing(BEFORE, None))
    assert "**promote** without a champion: 2 pass" in told
    assert "It is the first" in told


def test_a_reason_cannot_pass_for_more_of_the_page() -> None:
    told = page(a_case(), why="carts rose\n\n## Evidence\n\n| hide_rate | -90% |")
    assert "Why: carts rose ## Evidence | hide_rate | -90% |\n" in told


def test_figures_without_a_bound_do_not_take_the_place_of_doubtful_ones() -> None:
    unbound = [verdict("decision", f"metric_{n}", Outcome.NO_RULE, 0.1, 0.0, 0.2) for n in range(10)]
    passed, across, outside = (
        verdict("decision", f"{outcome}_rate", outcome, 0.1, 0.0, 0.2)
        for outcome in (Outcome.PASS, Outcome.CANNOT_TELL, Outcome.BLOCK)
    )
    told = page(a_case(), verdicts=(*unbound, passed, across, outside))
    rows = [line.split(" | ")[0] for line in told.splitlines() if line.startswith("| ")][2:]
    assert rows[:4] == ["| block_rate", "| cannot_tell_rate", "| pass_rate", "| metric_0"]


def test_a_page_stays_short_whatever_there_is_to_say() -> None:
    many = tuple(verdict("decision", f"metric_{n}", Outcome.WARN, 0.1, 0.0, 0.2) for n in range(50))
    weighing = Weighing(utility(**{f"task_{n}": 1.0 for n in range(50)}), BEFORE)
    links = {"release 4": "http://mlflow/4"}
    told = page(
        a_case(changed=("utility",), warnings=tuple(f"warning {n}" for n in range(50))),
        verdicts=many,
        weighing=weighing,
        links=links,
    ).splitlines()
    assert len(told) <= 40
    assert "- and 46 more, in the dossier" in told
    assert "and 47 more weights, in the release's description" in told
