"""Labels counted before a build are those that the build writes."""

from datetime import timedelta
from pathlib import Path

import pyarrow.compute as pc

from tasks.labels.count import LabelCount, count_labels
from tasks.labels.store import LabelStore
from tasks.logs.session import open_log
from tests.feeds import small_feed


def test_the_log_counts_what_a_build_labels(tmp_path: Path) -> None:
    workspace, snapshot = small_feed.small_feed(tmp_path)
    days = [small_feed.FIRST.date() + n * timedelta(days=1) for n in (3, 4, 20, 44)]
    with open_log(workspace) as log:
        counted = count_labels(log, days, as_of=small_feed.AS_OF)
    stored = LabelStore(workspace.store, workspace.surface).snapshot(snapshot)
    for task in ("click_1d", "buy_2d", "back_2d", "spend_2d"):
        assert set(counted[task]) == set(days)
        for day in days:
            rows = stored.read([task, f"{task}__status"], first_day=day, last_day=day)
            labels = rows.column(task).filter(pc.equal(rows.column(f"{task}__status"), "observed"))
            positives = int(pc.sum(pc.not_equal(labels, 0)).as_py() or 0)
            assert counted[task][day] == LabelCount(len(labels), positives)
    assert counted["click_1d"][days[0]].positives > 0
