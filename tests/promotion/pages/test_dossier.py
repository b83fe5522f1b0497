"""Days that are alike are one strip; a failed day stands out."""

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from tasks.contracts import SlateSpec, UtilitySpec
from tasks.evaluation.evidence import (
    Finding,
    LabelCalendar,
    Measured,
    TaskDays,
    UtilityComposition,
    ValidationEvidence,
)
from tasks.evaluation.figures import CurvePoint
from tasks.evaluation.references import HeadReferences, RankReference
from tasks.evaluation.release_evidence import EvidenceRuns, GateEvidence, ReleaseEvidence
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.task_pairs import ConflictEvidence, PairEvidence, TopOverlap
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.experiments.offline import MetricAgreement
from tasks.promotion.decision import decide_release
from tasks.promotion.pages.changes import Change, count_worths
from tasks.promotion.pages.dossier import Documents, Dossier, MlflowPages, draw_calendar
from tasks.promotion.readiness.facts import ReadinessLine
from tasks.release.sensitivity import sensitivities
from tasks.replay.evidence import (
    ExampleSlot,
    FilledSlots,
    MovedItem,
    PackedScores,
    ScoringFailures,
    ShadowComparison,
    ShadowEvidence,
    ShadowExample,
)
from tasks.reports.phrases import TaskWords, Vocabulary
from tasks.stores.manifest import Manifest, PinnedPart, PinnedSnapshot, Role
from tests.evaluation.task_figures import task_figures
from tests.promotion.pages.test_task_rows import LOW, TOP, proxy
from tests.promotion.readiness.standings import SIMULATED
from tests.reports.drawings import find, sides_of
from tests.verdicts import bound, subject

AS_OF = datetime(2026, 5, 1, tzinfo=UTC)
RATIO = Verdict(
    "calibration",
    subject("click.calibration_ratio"),
    Segment("source", "<ads>"),
    Outcome.BLOCK,
    bound("0.9 to 1.1"),
    Estimate(1.3, 1.2, 1.4, 90),
)
MANIFEST = Manifest(
    surface="feed",
    as_of=AS_OF,
    snapshot=PinnedSnapshot("abc123", "c", "d", AS_OF),
    contracts={"tasks": "t"},
    test=(date(2026, 4, 1), date(2026, 4, 7)),
    parts=(PinnedPart("feed.task.click", 3, "f" * 64, Role.TASK, "click", date(2026, 3, 1)),),
    files={},
    code={},
)
CLICK = task_figures(
    {
        ("auc", ALL): Estimate(0.8, 0.7, 0.9, 90),
        ("calibration_ratio", ALL): Estimate(1.0, float("nan"), 2.0, 1),
        ("calibration_ratio", Segment("source", "<ads>")): Estimate(1.3, 1.2, 1.4, 90),
    },
    size=(500, 90),
    counts={Segment("source", "<ads>"): (120, 30)},
)
DOSSIER = Dossier(
    GateEvidence(
        surface="feed",
        release=7,
        as_of="2026-05-01T00:00:00Z",
        verdict="hold",
        reasons=("calibration block: click",),
        warnings=(),
        notes=("No position is logged.",),
        gates=(RATIO,),
        runs=EvidenceRuns("run-validate", "run-release", "run-simulate", "run-shadow"),
        calibration_in_slots={},
        sensitivity=(),
        manifest={},
        rules={},
    ),
    Documents(
        ValidationEvidence(snapshot="abc123", success=True, severity=None, expectations=(), report=""),
        ReleaseEvidence(
            manifest_sha256="",
            backfilled=False,
            pins={},
            test=MANIFEST.test,
            tasks=(CLICK,),
            kept={},
            unrepeated={},
            proxies=(),
            conflicts=None,
            refit=None,
            description="",
            rules={},
        ),
        SIMULATED,
        ShadowEvidence(
            challenger=7,
            champion=None,
            day=date(2026, 4, 30),
            candidates=4800,
            comparison=None,
            reproduced=None,
            packed=PackedScores(rows=4800, greatest_difference=0.0),
            failures=ScoringFailures(requests=120, alone=0, challenger=0, champion=None, example=""),
            filled=FilledSlots(requests=120, empty=0, slots=480),
        ),
    ),
    MANIFEST,
    pictures={"click, before and after": b"\x89PNG"},
)


def judged(dossier: Dossier = DOSSIER, **changes: object) -> Dossier:
    """Return a dossier whose gate found something else."""
    return replace(dossier, evidence=dossier.evidence.model_copy(update=changes))


def found(dossier: Dossier = DOSSIER, **changes: dict[str, object]) -> Dossier:
    """Return a dossier one of whose steps found something else, by the step."""
    documents = {step: getattr(dossier.documents, step).model_copy(update=of) for step, of in changes.items()}
    return replace(dossier, documents=replace(dossier.documents, **documents))


def composed(*terms: dict[str, object]) -> UtilityComposition:
    with_heads = [{"heads": [term["task"]], **term} for term in terms]
    return UtilityComposition.model_validate({"utility": 2.0, "spread": 1.0, "terms": with_heads})


def sensitive(composition: UtilityComposition, task: str, dossier: Dossier = DOSSIER) -> Dossier:
    """Return a dossier whose slots' calibration ratio of a task is 1.2."""
    terms = sensitivities(composition, {task: Estimate(1.2, 0.9, 1.5, 9)}, {})
    return judged(found(dossier, simulation={"composition": composition}), sensitivity=tuple(terms))


def test_the_page_begins_with_the_verdict_and_says_why() -> None:
    page = DOSSIER.to_html()
    assert '<h1>feed release 7: <span class="hold">hold</span></h1>' in page
    order = [
        page.index(part)
        for part in (
            "<h1>",
            "Held by",
            "Next step",
            "Why this release is held",
            "Not measurable with these data",
        )
    ]
    assert order == sorted(order)
    assert page.index("Not measurable with these data") < page.index("<h2>All checks")


def test_the_page_is_self_contained_and_escapes_what_it_shows() -> None:
    page = DOSSIER.to_html()
    assert "source=<ads>" not in page
    assert "source=&lt;ads&gt;" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_the_page_pins_every_part() -> None:
    page = DOSSIER.to_html()
    assert "feed.task.click" in page
    assert "f" * 16 in page


def test_the_json_holds_no_number_that_json_does_not_know() -> None:
    unknown = replace(RATIO, observed=Estimate(float("nan"), float("nan"), float("nan"), 0))
    plain = judged(gates=(unknown,)).evidence.to_json()
    assert json.loads(json.dumps(plain, allow_nan=False))["gates"][0]["observed"]["value"] is None


def test_a_promoted_release_shows_its_warnings_and_no_reason() -> None:
    promoted = judged(verdict="promote", reasons=(), warnings=("thin segment",))
    assert "Why it is held" not in promoted.to_html()
    assert "thin segment" in promoted.to_html()


def test_the_ratio_in_the_slots_stands_beside_the_one_of_all_shown_items() -> None:
    page = judged(calibration_in_slots={"click": Estimate(0.62, 0.5, 0.75, 40)}).to_html()
    heads = [f'<th scope="col" class="number">{name}</th>' for name in ("ratio", "ratio in the slots")]
    assert "".join(heads) in page
    assert '1 [?]</td><td class="number">0.62 [0.5,\N{NO-BREAK SPACE}0.75]' in page


def test_a_ratio_that_nobody_can_tell_says_so() -> None:
    page = DOSSIER.to_html()
    assert '1 [?]</td><td class="number">inconclusive' in page


def test_what_is_wider_than_a_phone_moves_by_itself_and_breaks_before_intervals_alone() -> None:
    page = DOSSIER.to_html()
    assert page.count("<table>") == page.count('<div class="wide"><table>') > 2
    assert ".wide, figure { overflow-x: auto; }" in page
    assert "1.3 [1.2,\N{NO-BREAK SPACE}1.4]" in page


def test_every_segment_is_told_with_rows_positives_interval_and_verdict() -> None:
    page = DOSSIER.to_html()
    assert "<summary>click: 1 segment value</summary>" in page
    row = page[page.index("<tr><td>source=&lt;ads&gt;") :]
    assert row.startswith(
        '<tr><td>source=&lt;ads&gt;</td><td class="number">120</td><td class="number">30</td>'
    )
    assert "1.3 [1.2,\N{NO-BREAK SPACE}1.4]" in row[:400]
    assert "block" in row[:400]


def test_what_a_calibration_error_does_to_the_utility_is_on_the_page() -> None:
    term = {"task": "click", "weight": -50.0, "times": None, "prediction": 0.01} | {
        "contribution": -0.5,
        "spread": 0.4,
    }
    page = sensitive(composed(term), "click").to_html()
    assert "click: a ratio of 1.2 [0.9, 1.5] under a weight of -50 may move candidates by 20% of what" in page
    assert "A slot is worth 2 on average, give or take 0.25" in page


def test_where_no_calibration_error_matters_the_page_says_so() -> None:
    term = {
        "task": "<u>",
        "weight": 0.1,
        "times": "<i>",
        "prediction": None,
        "contribution": 0.1,
        "spread": 0.01,
    }
    page = sensitive(composed(term), "<u>").to_html()
    assert "<p>No calibration error moves candidates by 10% of what lies between them.</p>" in page
    assert "0.1\N{NO-BREAK SPACE}x\N{NO-BREAK SPACE}&lt;i&gt;</td>" in page


def test_hostile_names_are_escaped_wherever_they_stand() -> None:
    odd = task_figures({("calibration_ratio", Segment("<b>", "<i>")): Estimate(1.0, 0.9, 1.1, 9)})
    verdict = replace(RATIO, subject=subject("<script>"), segment=Segment("<b>", "<i>"), reason="<s>")
    part = replace(MANIFEST.parts[0], name="<script>")
    terms = [
        {
            "task": "<script>",
            "weight": -50.0,
            "times": "<i>",
            "prediction": 0.1,
            "contribution": -0.5,
            "spread": 0.4,
        }
    ]
    hostile = judged(
        surface="<script>",
        reasons=("<script>",),
        warnings=("<script>",),
        gates=(verdict,),
        notes=("<script>",),
        calibration_in_slots={"<script>": Estimate(0.62, 0.5, 0.75, 40)},
    )
    hostile = found(
        sensitive(composed(*terms), "<script>", hostile),
        release={
            "tasks": (odd,),
            "proxies": (
                proxy(LOW, TOP, fast="<script>", slow="<b>", learned=True),
                proxy(fast="<i>", slow="<s>"),
            ),
            "conflicts": ConflictEvidence(
                tasks=("<script>", "<b>"),
                pairs=(PairEvidence(tasks=("<script>", "<b>"), predictions=0.5, outcomes=-0.5, rows=9),),
                at_top=(TopOverlap("<script>", "<b>", Estimate(0.5, 0.4, 0.6, 9), 0.1, 9),),
            ),
        },
    )
    of_parts = replace(MANIFEST, parts=(part,))
    page = replace(hostile, manifest=of_parts, pictures={"'\"><script>": b"png"}).to_html()
    assert page.count("&lt;script&gt;") > 10
    for markup in ("<script>", "<b>", "<s>", "<i>"):
        assert markup not in page


def test_every_head_stands_beside_a_constant_and_the_best_single_feature() -> None:
    ranked = RankReference(
        feature="<price>",
        head=Estimate(0.7, 0.6, 0.8, 90),
        best=Estimate(0.65, 0.55, 0.75, 90),
        gain=Estimate(0.05, 0.01, 0.09, 90),
    )
    beside = HeadReferences(base=0.0425, relative_squared_error=None, auc=ranked, auc_by_request=None)
    page = found(release={"tasks": (CLICK.model_copy(update={"references": beside}),)}).to_html()
    row = page[page.index("Heads compared with a constant") :]
    for shown in ("0.0425", "all rows", "&lt;price&gt;", "0.65", "0.05"):
        assert shown in row
    assert "one request" not in row, "no pair inside requests"
    assert "Heads compared with a constant" not in DOSSIER.to_html()


def test_pairs_are_drawn_with_what_there_is_to_know_of_them() -> None:
    page = found(release={"proxies": (proxy(LOW, TOP, learned=True), proxy())}).to_html()
    assert "mean watched (more is better) along the tenths of click's prediction, with 95 %" in page
    assert "the mean of all 12 rows (3 not 0) from 2026-01-01 to 2026-01-07" in page
    assert "Top tenth better than the rest by -0.1 [-0.2, -0.05]. The model of click learned" in page
    assert "<p>watched along click: no row where both are known.</p>" in page
    assert page.count("<circle") == 2, "two tenths"


def test_tasks_that_pull_apart_are_drawn_and_named() -> None:
    conflicts = ConflictEvidence(
        tasks=("click", "hide"),
        pairs=(PairEvidence(tasks=("click", "hide"), predictions=0.5, outcomes=-0.5, rows=9),),
        at_top=(TopOverlap("click", "hide", Estimate(0.5, 0.4, 0.6, 9), 0.1, 9),),
    )
    page = found(release={"conflicts": conflicts}).to_html()
    assert page.count('<rect class="together"') == page.count('<rect class="apart"') == 1
    assert "click: 0.5 [0.4, 0.6] of its top tenth is in hide&#39;s, by chance 0.1" in page
    assert "How tasks go together" not in DOSSIER.to_html()


SEEN = Estimate(0.111, 0.024, 0.22, 900)
RAIL = Verdict(
    "decision", subject("click_rate"), ALL, Outcome.INCONCLUSIVE, bound("rise of 10.0%"), SEEN, relative=True
)


def beside_a_champion() -> Dossier:
    """Return a dossier with something in each of its sections; names that people wrote are hostile."""
    rail = replace(RAIL, evidence="run-2", holds=True)
    unruled = Verdict("shadow", subject("overlap_at_k"), ALL, Outcome.NO_RULE, bound(""), None)
    exact = Estimate(0.9, 0.8, 1.0, 90)
    slots = (
        ExampleSlot(place=1, before="<tea>", after="<soup>", place_before=3),
        ExampleSlot(place=2, before="bread", after="bread", place_before=2),
    )
    moved = MovedItem(item="<soup>", place=1, place_before=3, task="click", before=0.1, after=0.234567)
    calendar = TaskDays(task="click", observed=(9,), positive=(1,), immature=(0,), left_out=(0,))
    exposed = Measured(subject("source_share:<ads>"), ALL, "release 7", exact, exact, exact)
    beside = found(
        judged(gates=(rail, RATIO, unruled)),
        release={
            "tasks": (CLICK.model_copy(update={"curve": (CurvePoint(predicted=0.1, observed=0.2, rows=9),)}),)
        },
        simulation={"champion": 6, "measured": (replace(exposed, policy=replace(exact, value=0.8)),)},
        validation={
            "severity": "warning",
            "expectations": (Finding("labels", "expect_rates", "click", "warning", False, "<odd>", "why"),),
            "calendar": LabelCalendar(days=(date(2026, 4, 1),), tasks=(calendar,)),
        },
        shadow={
            "champion": 6,
            "comparison": ShadowComparison(
                requests=120, candidates=4800, overlap_at_k=exact, rank_correlation=exact, score_shift=exact
            ),
            "examples": (ShadowExample(request="<r>", replaced=1, slots=slots, moved=moved),),
        },
    )
    return replace(
        beside,
        words=Vocabulary({"click": TaskWords("<opened> it")}, ("source",), baseline="champion 6"),
        changes=(
            Change("data", "labels as of 2026-05-01, 2 days newer", differs=True),
            Change("code", "the same", differs=False),
        ),
        worths=count_worths(
            UtilitySpec.model_validate(
                {
                    "policy": "toy",
                    "version": 4,
                    "owner": "o",
                    "approvals": ["product"],
                    "weights": {"click": 0.5, "hide": -4.0},
                    "contexts": [{"name": "night", "when": {"hour": ["<late>"]}, "weights": {"hide": -8.0}}],
                    "hard_constraints": [
                        {"name": "banned", "drop_when": {"column": "banned", "equals": True}}
                    ],
                }
            ),
            SlateSpec.model_validate({"policy": "s", "version": 1, "length": 3}),
        ),
        mlflow=MlflowPages("http://mlflow", "3"),
    )


def test_the_first_screen_says_it_in_words_that_people_know() -> None:
    page = beside_a_champion().to_html()
    assert 'aria-label="labels by day and task from 2026-04-01 to 2026-04-01"' in page
    first = page[page.index('id="first"') : page.index('id="why"')]
    assert "Changes since champion 6" in first
    assert (
        '<tr class="differs"><th scope="row">data</th><td>labels as of 2026-05-01, 2 days newer</td></tr>'
        in first
    )
    assert '<tr><th scope="row">code</th><td>the same</td></tr>' in first
    assert 'aria-label="click rate: +11.1 % (+2.4 to +22.0 %); limit +10 %: inconclusive"' in first
    assert first.count("<li>calibration of click, source = &lt;ads&gt;: 1.3") == 1, "the harmed segment"


def test_every_section_is_reached_from_the_navigation() -> None:
    page = beside_a_champion().to_html()
    links = re.findall(r'<li><a href="#(\w+)">', page)
    assert links == re.findall(r'<section id="(\w+)"', page)
    assert len(links) == 9


def test_the_sections_hold_what_an_engineer_digs_for() -> None:
    page = beside_a_champion().to_html()
    sections = dict(re.findall(r'<section id="(\w+)".*?>(.*?)</section>', page, flags=re.DOTALL))
    assert "worth, in click" in sections["decision"]
    assert '<td class="number">-8</td>' in sections["decision"], "a hide in units of a click"
    assert "night, where hour is &lt;late&gt;" in sections["decision"]
    assert "<strong>banned</strong>" in sections["decision"]
    assert "share of &lt;ads&gt; in source" in sections["decision"]
    assert "people &lt;opened&gt; it" in sections["tasks"]
    assert sections["tasks"].count("<circle cx=") == 1
    assert "2026-04-01: mature, 9 labels, 1 not 0" in sections["labels"]
    counts = "".join(f'<td class="number">{n}</td>' for n in (9, 1, 0, 0, 0))
    assert f"<td>click</td>{counts}" in sections["labels"]
    assert "labels: expect_rates (&lt;odd&gt;)" in sections["labels"]
    assert "&lt;soup&gt; comes to slot 1 from slot 3: click adds 0.235 to its utility" in sections["shadow"]
    assert 'href="http://mlflow/#/models/feed.task.click/versions/3"' in sections["lineage"]
    assert 'href="http://mlflow/#/experiments/3/runs/run-2"' in sections["verdicts"]


def test_a_figure_that_has_no_place_on_the_scale_is_written_without_a_picture() -> None:
    share = Verdict(
        "decision", subject("component_share:click"), ALL, Outcome.WARN, bound("1% to 90%"), RATIO.observed
    )
    drawn = judged(beside_a_champion(), gates=(share,)).to_html()
    assert drawn.count('<line class="bound"') == 0
    missing = replace(share, outcome=Outcome.METRIC_MISSING, observed=None)
    assert judged(beside_a_champion(), gates=(missing,)).to_html().count('<line class="bound"') == 1


def test_effects_of_experiments_stand_beside_what_was_printed_where_there_are_some() -> None:
    half = MetricAgreement("hide_7d_rate", 5, Estimate(0.5, 0.25, 0.75, 5), Estimate(0.0, -0.1, 0.1, 5), 0.8)
    page = replace(DOSSIER, experiments=(half,)).to_html()
    assert "Offline against online" in page
    assert "hide_7d_rate" in page.split("Offline against online")[1]
    assert "0.5 [0.25, 0.75]" in page.replace("\xa0", " ")
    assert "Offline against online" not in DOSSIER.to_html()


def test_an_override_stands_on_the_first_screen() -> None:
    page = replace(beside_a_champion(), overrides=("By ana: a <fire> sale",)).to_html()
    first = page[page.index('id="first"') : page.index('id="why"')]
    assert '<p class="override"><strong>Overridden.</strong> By ana: a &lt;fire&gt; sale</p>' in first
    assert "It was promoted by an override. Watch what held it" in first
    assert re.findall("Overridden|promoted by an override", beside_a_champion().to_html()) == []


def test_readiness_is_a_section_where_it_was_looked_at() -> None:
    lines = (ReadinessLine.met("tasks explicit", "1 task"), ReadinessLine.not_met("masks", "<none>"))
    page = replace(beside_a_champion(), readiness=lines).to_html()
    assert '<li><a href="#readiness">Readiness</a></li>' in page
    assert '<td class="verdict met">met</td><td>tasks explicit</td><td>1 task</td>' in page
    assert '<td class="verdict not_met">not met</td><td>masks</td><td>&lt;none&gt;</td>' in page
    assert "#readiness" not in beside_a_champion().to_html()


def test_what_passes_or_has_no_rule_is_folded_and_every_verdict_can_be_filtered() -> None:
    page = beside_a_champion().to_html()
    shown, folded = page[page.index('id="verdicts"') :].split('<details class="passed">')
    assert (shown.count("<tr data-gate"), folded.count("<tr data-gate")) == (2, 1)
    assert '<tr data-gate="2" data-outcome="no_rule">' in folded
    for rule in ('[name="gate"][value="2"]:checked', '[name="outcome"][value="no_rule"]:checked'):
        assert rule in page


def test_hostile_words_are_escaped_in_every_section() -> None:
    page = beside_a_champion().to_html()
    for markup in ("<ads>", "<tea>", "<soup>", "<r>", "<odd>", "<late>", "<opened>"):
        assert markup not in page


def test_a_first_release_says_that_there_is_nothing_beside_it() -> None:
    page = DOSSIER.to_html()
    assert "First release: no champion to compare with." in page
    assert "It is the first release: there is no champion to compare with in shadow." in page
    assert "kept no calendar" in page


def test_the_page_runs_the_script_of_its_tables_alone_and_loads_nothing() -> None:
    page = beside_a_champion().to_html()
    assert re.findall("<script[^>]*>", page) == ['<script id="tables">']
    assert not re.search(r"fetch|XMLHttpRequest|import\(|eval\(|innerHTML", page)
    assert not re.findall(r'(?:src|@import|url\()=?"?(?!data:)http', page)


def test_the_same_bound_and_task_come_back_from_the_document() -> None:
    evidence = beside_a_champion().evidence
    again = GateEvidence.read(json.dumps({**evidence.to_json()}), where="here")
    assert [(one.subject, one.threshold) for one in again.gates] == [
        (one.subject, one.threshold) for one in evidence.gates
    ]


def test_a_verdict_of_the_clock_decides_with_the_others_and_no_approval_rests_on_its_figure() -> None:
    slow = replace(RATIO, gate="latency", subject=subject("scoring_time"), segment=ALL)
    dossier = judged(timings=(slow,))
    assert dossier.evidence.verdicts == (RATIO, slow)
    assert "scoring_time" in dossier.to_html()


def test_people_read_outcomes_in_words_and_filters_know_their_codes() -> None:
    rows = (replace(RATIO, outcome=Outcome.NO_RULE), RAIL)
    page = judged(beside_a_champion(), gates=rows).to_html()
    assert re.findall(r">[^<]*no_rule[^<]*<", page[page.index("<body>") :]) == []
    assert '<td class="verdict inconclusive">inconclusive</td>' in page
    assert 'data-outcome="no_rule"' in page


def test_reasons_are_phrased_as_in_the_table_of_words() -> None:
    page = judged(reasons=decide_release([RATIO], inconclusive="hold").reasons).to_html()
    why = page[page.index("Why this release is held") :]
    assert "<li>calibration: calibration of click, source = &lt;ads&gt;: 1.3 (95 % CI 1.2 to 1.4;" in why


def test_who_moves_is_said_in_words_and_as_shares() -> None:
    page = beside_a_champion().to_html()
    assert "<td>share of &lt;ads&gt; in source<small>share of examined impressions</small></td>" in page
    assert (
        '<td class="number">90\N{NO-BREAK SPACE}%\N{NO-BREAK SPACE}(80\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}100\N{NO-BREAK SPACE}%)</td>'
        in page
    )


def test_one_request_and_one_expectation_are_told_in_the_singular() -> None:
    held = Finding("labels", "expect_rates", "click", "warning", True, "", "why")
    page = found(beside_a_champion(), validation={"expectations": (held,)}).to_html()
    assert "The 1 request that differs most, champion 6 on the left" in page
    assert "The one expectation holds." in page


DAYS = tuple(date(2026, 3, 1) + timedelta(days=n) for n in range(5))
CLICK_DAYS = TaskDays(
    task="click",
    observed=(10, 10, 8, 1000, 0),
    positive=(1, 0, 2, 3, 0),
    immature=(0, 0, 2, 0, 0),
    left_out=(0, 0, 0, 0, 9),
    failed=(DAYS[3],),
)


def test_a_strip_holds_the_days_that_are_alike_with_their_counts() -> None:
    ((_, drawing),) = draw_calendar(LabelCalendar(days=DAYS, tasks=(CLICK_DAYS,)))
    strips = find(drawing, "rect")
    assert [(strip.attributes["class"], *sides_of(strip, "x", "width")) for strip in strips] == [
        ("day mature", 0.0, 280.0),
        ("day immature", 280.0, 140.0),
        ("day failed", 420.0, 140.0),
        ("day left_out", 560.0, 140.0),
    ]
    assert strips[0].words == "2026-03-01 to 2026-03-02: mature, 20 labels, 1 not 0"
    assert strips[2].words == "2026-03-04: failed, 1,000 labels, 3 not 0"


def test_without_a_day_there_is_no_calendar() -> None:
    assert draw_calendar(None) == []
    assert draw_calendar(LabelCalendar(days=(), tasks=())) == []
