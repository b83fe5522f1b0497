"""A tiny download in the layout of KuaiRand-Pure: a log, the users and the videos, as CSV."""

import csv
import gzip
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.datasets.kuairand import COLUMNS, LOG, USERS, VIDEOS, KuaiRandResult, import_kuairand

FIRST_DAY = datetime(2022, 4, 25, tzinfo=UTC)
LOG_NAME = "log_standard_4_25_to_5_04_pure.csv"
Value = int | float | str | None
Row = dict[str, Value]

_LINE: Row = {**dict.fromkeys(COLUMNS[LOG], 0), "duration_ms": 20_000, "play_time_ms": 3_000, "tab": 1}
_USER: Row = {
    **dict.fromkeys(COLUMNS[USERS], 1),
    "user_active_degree": "full_active",
    "follow_user_num_range": "(0,10]",
    "fans_user_num_range": "[1,10)",
    "friend_user_num_range": "0",
    "register_days": 500,
    "register_days_range": "366-730",
}
_VIDEO: Row = {
    **dict.fromkeys(COLUMNS[VIDEOS], 0),
    "author_id": 70,
    "video_type": "NORMAL",
    "upload_dt": "2022-04-10",
    "upload_type": "ShortImport",
    "video_duration": 20_000.0,
    "server_width": 720.0,
    "server_height": 1280.0,
    "music_id": 80,
    "music_type": 9.0,
    "tag": "39,68",
}


def moment(day: int, hour: float = 12.0) -> datetime:
    """Give an instant of the n-th day, counted from 0."""
    return FIRST_DAY + timedelta(days=day, hours=hour)


def milliseconds(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


@dataclass
class Download:
    """Rows of the three files; ``write`` puts them into a folder."""

    log: list[Row] = field(default_factory=list)
    users: list[Row] = field(default_factory=list)
    videos: list[Row] = field(default_factory=list)

    @classmethod
    def of(cls, users: Sequence[int] = (1, 2), videos: Sequence[int] = (100, 101)) -> "Download":
        """Begin with users and videos that nobody has met yet."""
        made = cls()
        made.users = [_USER | {"user_id": user} for user in users]
        made.videos = [_VIDEO | {"video_id": video} for video in videos]
        return made

    def shows(self, user: int, video: int, at: datetime, *did: str, **columns: Value) -> Row:
        """Add a line: a video shown to a user who did what the flags say; return it."""
        beijing = at + timedelta(hours=8)
        line = _LINE | {
            "user_id": user,
            "video_id": video,
            "time_ms": milliseconds(at),
            "date": f"{beijing:%Y%m%d}",
            "hourmin": int(f"{beijing:%H}00"),
        }
        line |= dict.fromkeys(did, 1) | columns
        self.log.append(line)
        return line

    def write(self, folder: Path, *, gzipped: bool = False) -> Path:
        """Write the three files into ``folder/data``; return the folder."""
        data = folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        for name, kind, rows in (
            (LOG_NAME, LOG, self.log), (USERS, USERS, self.users), (VIDEOS, VIDEOS, self.videos),
        ):  # fmt: skip
            write_csv(data / name, COLUMNS[kind], rows, gzipped=gzipped)
        return folder


def write_csv(
    path: Path,
    columns: Mapping[str, str],
    rows: Sequence[Row],
    *,
    gzipped: bool = False,
    delimiter: str = ",",
) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    content = text.getvalue().encode()
    if gzipped:
        path = path.with_name(f"{path.name}.gz")
        content = gzip.compress(content, mtime=0)
    path.write_bytes(content)


def run(download: Download, folder: Path, **options: int) -> KuaiRandResult:
    source = download.write(folder / "source")
    return import_kuairand(source=source, out=folder / "logs" / "short_video", memory="1GB", **options)


def read(folder: Path, table: str) -> pd.DataFrame:
    files = sorted((folder / "logs" / "short_video" / table).glob("*.parquet"))
    return pa.concat_tables([pq.read_table(f) for f in files]).to_pandas()


def shown(folder: Path, user: int, video: int, day: int) -> pd.Series:
    rows = read(folder, "impressions").set_index(["request_id", "item_id"])
    return cast("pd.Series", rows.loc[(f"{user}/{moment(day):%F}", video)])


def happened(folder: Path, event: str) -> list[datetime]:
    events = read(folder, "events")
    return [at.to_pydatetime() for at in events[events.event == event].happened_at]


def contents(folder: Path) -> dict[str, bytes]:
    logs = folder / "logs" / "short_video"
    return {str(p.relative_to(logs)): p.read_bytes() for p in sorted(logs.rglob("*.parquet"))}
