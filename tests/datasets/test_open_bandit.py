"""The Open Bandit Dataset as log tables, what the surface makes of it, and the real seven days, where they are."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tasks.cli import main
from tasks.contracts.load import load_surface
from tasks.datasets.open_bandit import import_open_bandit
from tasks.errors import DataError
from tasks.labels import build as labels
from tasks.labels.show import export
from tasks.stores.workspace import Workspace
from tests.datasets.named_columns import matched_columns, named_columns
from tests.datasets.open_bandit_tables import HEADER, Bandit, read, small
from tests.shared_data import OPEN_BANDIT, needs_open_bandit

SURFACES = Path(__file__).parents[2] / "surfaces"
AS_OF = datetime(2019, 12, 1, tzinfo=UTC)


def label(source: Path, home: Path) -> pd.DataFrame:
    """Import, label, export."""
    import_open_bandit(source=source, out=home / "logs" / "open_bandit", memory="1GB")
    workspace = Workspace.open("open_bandit", surfaces=SURFACES, home=home)
    labels.run(workspace, as_of=AS_OF)
    export(workspace, out=home / "labels.parquet")
    return pq.read_table(home / "labels.parquet").to_pandas()


def test_a_row_is_a_request_with_its_propensity(tmp_path: Path) -> None:
    result = import_open_bandit(source=small().write(tmp_path / "source"), out=tmp_path / "logs")
    assert (result.impressions, result.clicks, result.items, result.logs) == (4, 1, 3, 2)
    shown = read(tmp_path / "logs", "impressions").set_index("request_id")
    assert sorted(shown.index) == ["bts/all/0", "random/all/0", "random/all/1", "random/all/2"]
    row = shown.loc["random/all/1"]
    assert (row.item_id, row.position, row.propensity, row.affinity) == ("all/2", 3, 0.25, 2.0)
    assert row.shown_at == pd.Timestamp("2019-11-24T00:00:17.004101Z")
    assert shown.loc["bts/all/0"].propensity == 0.9


def test_the_same_items_share_their_categories_though_every_file_hashes_them_anew(tmp_path: Path) -> None:
    import_open_bandit(source=small().write(tmp_path / "source"), out=tmp_path / "logs")
    shown = read(tmp_path / "logs", "impressions").set_index("request_id")
    names = ["item_feature_1", "item_feature_2", "item_feature_3"]
    assert list(shown.loc["random/all/1", names]) == ["all/2", "all/0", "all/2"]
    assert list(shown.loc["bts/all/0", names]) == ["all/2", "all/0", "all/2"]
    assert shown.loc["random/all/2", "item_feature_1"] == "all/0"


def test_a_click_is_an_event_of_its_request(tmp_path: Path) -> None:
    rows = label(small().write(tmp_path / "source"), tmp_path)
    assert rows.set_index("request_id").click.dropna().to_dict() == {
        "random/all/0": 0,
        "random/all/1": 1,
        "bts/all/0": 0,
    }  # the newest row of the log is not yet old enough


def test_equal_input_gives_equal_bytes_packed_or_plain_and_is_reused(tmp_path: Path) -> None:
    packed, plain = small().write(tmp_path / "packed"), small().write(tmp_path / "plain", packed=False)
    import_open_bandit(source=packed, out=tmp_path / "a", threads=1)
    import_open_bandit(source=plain, out=tmp_path / "b")
    assert [f.read_bytes() for f in sorted((tmp_path / "a").rglob("*.parquet"))] == [
        f.read_bytes() for f in sorted((tmp_path / "b").rglob("*.parquet"))
    ]
    assert import_open_bandit(source=packed, out=tmp_path / "a", threads=1).reused


def test_the_surface_finds_every_column_that_it_names(tmp_path: Path) -> None:
    contracts = load_surface(SURFACES, "open_bandit")
    import_open_bandit(source=small().write(tmp_path / "source"), out=tmp_path / "logs")
    assert named_columns(contracts) <= set(read(tmp_path / "logs", "impressions").columns)
    assert matched_columns(contracts) <= set(read(tmp_path / "logs", "events").columns)
    assert list(contracts.tasks.tasks) == ["click"]


# -- the real seven days --------------------------------------------------------------------------------------


@needs_open_bandit
@pytest.mark.parametrize("campaign", ["all", "men"])
def test_labels_of_the_real_days_are_a_brute_count_of_clicks(campaign: str, tmp_path: Path) -> None:
    rows = label(OPEN_BANDIT, tmp_path)
    for policy in ("random", "bts"):
        path = OPEN_BANDIT / policy / campaign / f"{campaign}.csv.gz"
        log = pd.read_csv(path, index_col=0)
        ours = rows[(rows.policy == policy) & (rows.campaign == campaign)]
        ours = (
            ours.assign(line=ours.request_id.str.rsplit("/").str[-1].astype(int))
            .set_index("line")
            .sort_index()
        )
        assert len(ours) == len(log) == 10_000
        known = ours.click.notna()
        assert known.sum() >= 9_998  # the newest rows are immature
        assert (ours.click[known] == log.click[known]).all()
        assert ours.click.sum() == log.click.sum()
        assert (ours.propensity == log.propensity_score).all()
        assert (ours.position == log.position).all()
        affinities = log[[f"user-item_affinity_{n}" for n in range(log.item_id.max() + 1)]].to_numpy()
        assert (ours.affinity == affinities[np.arange(len(log)), log.item_id]).all()


def refused(source: Path, tmp_path: Path) -> str:
    with pytest.raises(DataError) as caught:
        import_open_bandit(source=source, out=tmp_path / "logs")
    assert not list((tmp_path / "logs").glob("[!.]*"))
    return str(caught.value)


def test_a_command_without_a_source_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "open-bandit", "--out", str(tmp_path)]) == 2
    assert "open-bandit has no package" in capsys.readouterr().err


def test_a_folder_without_logs_is_named(tmp_path: Path) -> None:
    assert "holds no log of Open Bandit" in refused(tmp_path, tmp_path)


def test_a_log_without_its_items_is_half_a_log(tmp_path: Path) -> None:
    source = small().write(tmp_path / "source")
    (source / "bts" / "all" / "item_context.csv").unlink()
    assert "bts/all/item_context.csv is missing" in refused(source, tmp_path)


def test_a_pipe_among_the_files_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    source = small().write(tmp_path / "source")
    items = source / "bts" / "all" / "item_context.csv"
    items.unlink()
    os.mkfifo(items)
    assert "item_context.csv is not a regular file" in refused(source, tmp_path)


def test_a_log_both_plain_and_gzipped_is_refused(tmp_path: Path) -> None:
    source = small().write(tmp_path / "source")
    small().write(source, packed=False)
    assert "holds all.csv twice" in refused(source, tmp_path)


def test_one_policy_of_one_campaign_is_enough(tmp_path: Path) -> None:
    made = small()
    del made.rows["bts"]
    assert import_open_bandit(source=made.write(tmp_path / "source"), out=tmp_path / "logs").logs == 1


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"propensity_score": 0}, "propensity_score is not above 0 and at most 1 in 1 rows, numbered 3"),
        ({"propensity_score": 1.5}, "propensity_score is not above 0 and at most 1"),
        ({"propensity_score": "nan"}, "propensity_score is not above 0 and at most 1"),
        ({"propensity_score": ""}, "a column but the affinity is empty in 1 rows"),
        ({"position": 4}, "position is not 1, 2 or 3"),
        ({"click": 2}, "click is neither 0 nor 1"),
        ({"item": 3}, "item_id is not in item_context.csv"),
        ({"": 0}, "a row's number, appears twice in 2 rows, numbered 0, 0"),
        ({"timestamp": "yesterday"}, "all.csv.gz cannot be read"),
    ],
)
def test_a_row_that_breaks_a_rule_is_told_with_its_number(
    columns: dict[str, Any], message: str, tmp_path: Path
) -> None:
    made = small()
    made.shows("random", columns.pop("item", 0), **columns)
    assert message in refused(made.write(tmp_path / "source"), tmp_path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ([*HEADER[:-1], "user-item_afinity_2"], "Unknown column 'user-item_afinity_2'"),
        (HEADER[:-1], "lacks column user-item_affinity_2"),
        ([HEADER[0], HEADER[2], HEADER[1], *HEADER[3:]], "has its columns in another order"),
    ],
)
def test_another_header_is_refused(header: list[str], message: str, tmp_path: Path) -> None:
    made = small()
    made.header = header
    assert message in refused(made.write(tmp_path / "source"), tmp_path)


def test_an_empty_file_and_one_without_rows_are_told_apart(tmp_path: Path) -> None:
    source = Bandit({"random": []}).write(tmp_path / "source")
    assert "holds no row below its header" in refused(source, tmp_path)
    (source / "random" / "all" / "item_context.csv").write_text("")
    assert "item_context.csv is empty" in refused(source, tmp_path)


def test_items_are_numbered_from_0_without_a_gap(tmp_path: Path) -> None:
    source = small().write(tmp_path / "source")
    items = source / "random" / "all" / "item_context.csv"
    items.write_text(items.read_text().replace("\n2,2,", "\n2,1,"))
    assert "its 3 rows should be items 0 to 2, one row each" in refused(source, tmp_path)
