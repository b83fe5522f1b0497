import json
from dataclasses import replace
from datetime import UTC, date, datetime

from tasks.evaluation.conflicts import TopOverlap
from tasks.evaluation.evidence import ConflictEvidence, PairEvidence
from tasks.evaluation.figures import SegmentCounts, TaskEvidence
from tasks.evaluation.references import HeadReferences, RankReference
from tasks.evaluation.replay_evidence import UtilityComposition
from tasks.evaluation.verdicts import Bounds, Estimate, Outcome, Verdict
from tasks.promotion.decision import Hold, Promote
from tasks.promotion.dossier import Dossier, SlotUtility
from tasks.release.sensitivity import sensitivities
from tasks.stores.manifest import Manifest, PinnedPart, PinnedSnapshot, Role
from tests.promotion.test_proxy_figures import LOW, TOP, proxy

AS_OF = datetime(2026, 5, 1, tzinfo=UTC)
RATIO = Verdict(
    "calibration",
    "click.calibration_ratio",
    "source=<ads>",
    Outcome.BLOCK,
    "0.9 to 1.1",
    Estimate(1.3, 1.2, 1.4, 90),
    task="click",
    allowed=Bounds(0.9, 1.1),
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
CLICK = TaskEvidence(
    task="click",
    kind="binary",
    rows=500,
    positives=90,
    figures={
        ("auc", "all"): Estimate(0.8, 0.7, 0.9, 90),
        ("calibration_ratio", "all"): Estimate(1.0, float("nan"), 2.0, 1),
        ("calibration_ratio", "source=<ads>"): Estimate(1.3, 1.2, 1.4, 90),
    },
    newest_training_day=date(2026, 3, 1),
    run="run-1",
    counts={"all": SegmentCounts(500, 90), "source=<ads>": SegmentCounts(120, 30)},
)
DOSSIER = Dossier(
    surface="feed",
    release=7,
    as_of="2026-05-01T00:00:00Z",
    decision=Hold(("calibration block: click",), ()),
    verdicts=(RATIO,),
    tasks=(CLICK,),
    manifest=MANIFEST,
    notes=("No position is logged.",),
    pictures={"click, before and after": b"\x89PNG"},
)


def composed(*terms: dict[str, object]) -> UtilityComposition:
    return UtilityComposition.model_validate({"utility": 0.5, "spread": 1.0, "terms": terms})


def test_the_page_begins_with_the_verdict_and_says_why() -> None:
    page = DOSSIER.to_html()
    assert "<h1>feed release 7: hold</h1>" in page
    assert page.index("Why it is held") < page.index("What these data cannot tell") < page.index("<h2>Gates")


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
    plain = replace(DOSSIER, verdicts=(unknown,)).evidence().to_json()
    assert json.loads(json.dumps(plain, allow_nan=False))["gates"][0]["observed"]["value"] is None


def test_a_promoted_release_shows_its_warnings_and_no_reason() -> None:
    promoted = replace(DOSSIER, decision=Promote(("thin segment",)))
    assert promoted.verdict == "promote"
    assert "Why it is held" not in promoted.to_html()
    assert "thin segment" in promoted.to_html()


def test_the_ratio_in_the_slots_stands_beside_the_one_of_all_shown_items() -> None:
    dossier = replace(DOSSIER, slots={"click": Estimate(0.62, 0.5, 0.75, 40)})
    page = dossier.to_html()
    assert '<th class="number">ratio</th><th class="number">ratio in the slots</th>' in page
    assert '1 [?]</td><td class="number">0.62 [0.5,\N{NO-BREAK SPACE}0.75]' in page
    assert dossier.evidence().to_json()["calibration_in_slots"]["click"]["low"] == 0.5


def test_a_ratio_that_nobody_can_tell_says_so() -> None:
    page = replace(DOSSIER, slots={}).to_html()
    assert '1 [?]</td><td class="number">cannot\N{NO-BREAK SPACE}tell' in page


def test_what_is_wider_than_a_phone_moves_by_itself_and_breaks_before_intervals_alone() -> None:
    page = DOSSIER.to_html()
    assert page.count("<table>") == page.count('<div class="wide"><table>') > 2
    assert ".wide, figure { overflow-x: auto; }" in page
    assert "1.3 [1.2,\N{NO-BREAK SPACE}1.4]" in page


def test_every_segment_is_told_with_rows_positives_interval_and_verdict() -> None:
    page = DOSSIER.to_html()
    assert "<summary>click: 1 segment values</summary>" in page
    row = page[page.index("<tr><td>source=&lt;ads&gt;") :]
    assert row.startswith(
        '<tr><td>source=&lt;ads&gt;</td><td class="number">120</td><td class="number">30</td>'
    )
    assert "1.3 [1.2,\N{NO-BREAK SPACE}1.4]" in row[:400]
    assert "block" in row[:400]


def test_what_a_calibration_error_does_to_the_utility_is_on_the_page_and_in_the_json() -> None:
    term = {"task": "click", "weight": -50.0, "times": None, "prediction": 0.01} | {
        "contribution": -0.5,
        "spread": 0.4,
    }
    told = sensitivities(
        composed(term),
        {"click": Estimate(1.2, 0.9, 1.5, 9)},
        {},
    )
    dossier = replace(DOSSIER, utility=SlotUtility(2.0, 1.0, told))
    page = dossier.to_html()
    assert "click: a ratio of 1.2 [0.9, 1.5] under a weight of -50 may move candidates by 20% of what" in page
    assert "A slot is worth 2 on average, give or take 0.25" in page
    assert dossier.evidence().to_json()["sensitivity"][0]["share_of_spread"] == 0.2


def test_where_no_calibration_error_matters_the_page_says_so() -> None:
    term = {
        "task": "<u>",
        "weight": 0.1,
        "times": "<i>",
        "prediction": None,
        "contribution": 0.1,
        "spread": 0.01,
    }
    told = sensitivities(composed(term), {"<u>": Estimate(1.2, 0.9, 1.5, 9)}, {})
    page = replace(DOSSIER, utility=SlotUtility(2.0, 1.0, told)).to_html()
    assert "<p>No calibration error moves candidates by 10% of what lies between them.</p>" in page
    assert "0.1\N{NO-BREAK SPACE}x\N{NO-BREAK SPACE}&lt;i&gt;</td>" in page


def test_hostile_names_are_escaped_wherever_they_stand() -> None:
    odd = replace(CLICK, task="<script>", counts={"all": SegmentCounts(5, 1), "<b>": SegmentCounts(2, 1)})
    verdict = replace(RATIO, subject="<script>", task="<script>", segment="<b>", reason="<s>")
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
    page = replace(
        DOSSIER,
        surface="<script>",
        decision=Hold(("<script>",), ("<script>",)),
        verdicts=(verdict,),
        tasks=(odd,),
        manifest=replace(MANIFEST, parts=(part,)),
        notes=("<script>",),
        slots={"<script>": Estimate(0.62, 0.5, 0.75, 40)},
        utility=SlotUtility(
            2.0,
            1.0,
            sensitivities(composed(*terms), {"<script>": Estimate(1.2, 0.9, 1.5, 9)}, {}),
        ),
        pictures={"'\"><script>": b"png"},
        proxies=(proxy(LOW, TOP, fast="<script>", slow="<b>", learned=True), proxy(fast="<i>", slow="<s>")),
        conflicts=ConflictEvidence(
            tasks=("<script>", "<b>"),
            pairs=(PairEvidence(tasks=("<script>", "<b>"), predictions=0.5, outcomes=-0.5, rows=9),),
            at_top=(TopOverlap("<script>", "<b>", Estimate(0.5, 0.4, 0.6, 9), 0.1, 9),),
        ),
    ).to_html()
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
    page = replace(DOSSIER, tasks=(replace(CLICK, references=beside),)).to_html()
    row = page[page.index("Heads beside a constant") :]
    for shown in ("0.0425", "all rows", "&lt;price&gt;", "0.65", "0.05"):
        assert shown in row
    assert "one request" not in row, "no pair inside requests"
    assert "Heads beside a constant" not in DOSSIER.to_html()


def test_pairs_are_drawn_with_what_there_is_to_know_of_them() -> None:
    page = replace(DOSSIER, proxies=(proxy(LOW, TOP, learned=True), proxy())).to_html()
    assert "mean watched (more is better) along the tenths of click's prediction, with 95 %" in page
    assert "the mean of all 12 rows (3 not 0) from 2026-01-01 to 2026-01-07" in page
    assert "Top tenth better than the rest by -0.1 [-0.2, -0.05]. The model of click learned" in page
    assert "<p>watched along click: no row where both are known.</p>" in page
    assert page.count("<circle") == 1 + 2, "a ratio and two tenths"


def test_tasks_that_pull_apart_are_drawn_and_named() -> None:
    conflicts = ConflictEvidence(
        tasks=("click", "hide"),
        pairs=(PairEvidence(tasks=("click", "hide"), predictions=0.5, outcomes=-0.5, rows=9),),
        at_top=(TopOverlap("click", "hide", Estimate(0.5, 0.4, 0.6, 9), 0.1, 9),),
    )
    page = replace(DOSSIER, conflicts=conflicts).to_html()
    assert page.count('<rect class="together"') == page.count('<rect class="apart"') == 1
    assert "click: 0.5 [0.4, 0.6] of its top tenth is in hide&#39;s, by chance 0.1" in page
    assert "How tasks go together" not in DOSSIER.to_html()
