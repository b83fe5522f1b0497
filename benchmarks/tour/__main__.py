"""Eight weeks of a feed: ``python -m benchmarks.tour``, as ``make tour`` calls it.

Equipoise's releases serve one feed, and a naive click ranker serves the same feed. ``--airflow`` has the
first release approved in Airflow and leaves Airflow and MLflow running, so that every run can be opened.
``--write`` makes docs/tour.md and its pictures anew.
"""

import argparse
import logging
import os
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Final

from benchmarks.tour.airflow import approve_in
from benchmarks.tour.calendar import Plan
from benchmarks.tour.journal import Journal
from benchmarks.tour.naive import play_naive
from benchmarks.tour.page import Play, write_docs, write_html
from benchmarks.tour.served_feed import ServedFeed
from deploy.layout import Layout
from deploy.supervisor import bring_up, lock_home, stop
from tasks.settings import REPOSITORY

FOLDER: Final = REPOSITORY / ".equipoise" / "tour"
"""Made anew by each tour."""


def main() -> None:
    """Play both feeds and write the page."""
    asked = _parse()
    logging.getLogger("equipoise").setLevel(logging.ERROR)
    layout = Layout(FOLDER / "home", FOLDER / "surfaces")
    with lock_home(layout):
        stop(layout)
    shutil.rmtree(FOLDER)
    began, plan = time.monotonic(), Plan()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        naive = pool.submit(play_naive, plan)
        played, places = play(plan, layout, airflow=asked.airflow)
        clicks = naive.result()
    seconds = sum(os.times()[:4])
    result = Play(played, clicks, describe(plan, airflow=asked.airflow, seconds=seconds), places)
    page = FOLDER / "tour.html"
    write_html(result, page)
    if asked.write:
        write_docs(result)
    print(f"\nThe page: {page}", *places, f"Played in {time.monotonic() - began:.0f} s.", sep="\n")


def play(plan: Plan, layout: Layout, *, airflow: bool) -> tuple[Journal, Sequence[str]]:
    """Play the served feed; return what came of it and where its runs can be opened."""
    feed = ServedFeed(layout.home.parent, plan, Journal(say=partial(print, flush=True)))
    if not airflow:
        return feed.play(), ()
    with lock_home(layout):
        running = bring_up(layout.with_free_ports(), print)
    feed.team.approve_first = approve_in(running, print)
    try:
        journal = feed.play()
    except BaseException:
        with lock_home(running):
            stop(running)
        raise
    where = f"EQUIPOISE_HOME={running.home} EQUIPOISE_SURFACES={running.surfaces}"
    return journal, (
        f"Airflow: {running.airflow_url}. {where} make up prints the logins.",
        f"MLflow: {running.mlflow_url}",
        f"{where} make down stops both.",
    )


def describe(plan: Plan, *, airflow: bool, seconds: float) -> Sequence[str]:
    """Say how it was played; ``seconds`` are those of one core, without Airflow and MLflow."""
    where = "in Airflow, by its API as these users" if airflow else "in this process"
    return (
        f"{plan.requests_per_day} requests a day at first, seed {plan.seed}.",
        f"{plan.before} days of log lie before the first release.",
        f"The first release was approved by ana and sam {where}.",
        "Everything later ran by the same steps in one process.",
        "Reviewers approve what the gates let pass.",
        f"Labels and monitor run every {plan.watched_every} days. What was noticed is mended a day later.",
        "Nobody watches the naive ranker, so nothing is mended there.",
        "Figures are the simulation's truth, without the chance of a day; utility is weighed as in week 1.",
        f"Both took {seconds:.0f} seconds of one core{', without Airflow' if airflow else ''}.",
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--airflow", action="store_true", help="approve the first release in Airflow")
    parser.add_argument("--write", action="store_true", help="make docs/tour.md anew")
    return parser.parse_args()


if __name__ == "__main__":
    main()
