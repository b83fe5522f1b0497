"""The schedule of a surface whose logs have ended; manual runs and backfills remain possible.

A DAG's own `end_date` does not serve: every step inherits it, and Airflow skips the steps of each run with a
later logical date, so a manual run would end at once, green and empty.
"""

from datetime import datetime, timedelta
from typing import Any

from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable


class EndingCronTimetable(CronDataIntervalTimetable):
    """Data intervals by cron in UTC; none begins at `until` or later."""

    description: str

    def __init__(self, cron: str, *, until: datetime) -> None:
        super().__init__(cron, "UTC")
        self.until = until
        self.description = f"{self.description}, {self._ends()}"

    @property
    def summary(self) -> str:
        """The few words that the list of DAGs shows."""
        return f"{super().summary}, {self._ends()}"

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the next interval, or None where it would begin after the end."""
        found = super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval, restriction=restriction
        )
        ended = found is None or found.data_interval is None or found.data_interval.start >= self.until
        return None if ended else found

    def serialize(self) -> dict[str, Any]:
        """Write what `deserialize` reads."""
        return {"cron": self._expression, "until": self.until.isoformat()}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> "EndingCronTimetable":
        """Read what `serialize` wrote."""
        return cls(data["cron"], until=datetime.fromisoformat(data["until"]))

    def _ends(self) -> str:
        return f"until {self.until - timedelta(seconds=1):%Y-%m-%d}"
