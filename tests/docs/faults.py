"""Faults that tests inject, and their results.

``python -m tests.docs.faults`` writes them into ``docs/faults.md``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[2] / "docs" / "faults.md"
START: Final = "<!-- made by python -m tests.docs.faults -->"


@dataclass(frozen=True)
class Fault:
    """A fault, its result, and the test that injects it (path below ``tests``, function)."""

    when: str
    then: str
    test: str


FAULTS: Final = {
    "A process is killed": (
        Fault(
            "in a labels build",
            "the last snapshot stays valid; the next build gives the same one",
            "labels/test_build.py::test_a_build_that_is_killed_leaves_the_last_snapshot_and_the_next_finishes",
        ),
        Fault(
            "in a retrain, seven times",
            "the same release with the same verdict",
            "test_pipeline.py::test_killed_seven_times_it_ends_in_the_same_release",
        ),
        Fault(
            "in a promotion or a rollback, three times",
            "one alias update, one row of the audit",
            "test_pipeline.py::test_a_promotion_that_was_killed_three_times_makes_one_move",
        ),
        Fault(
            "in `equipoise prune home_feed`, four times",
            "the same files are left, and one row of the audit",
            "promotion/test_prune.py::test_killed_anywhere_and_run_again_it_ends_the_same",
        ),
        Fault(
            "stopped while it holds a lock",
            "waiting processes name the holder, and end after ten minutes (exit code 3)",
            "stores/test_files.py::test_a_stopped_holder_is_named_and_not_waited_for_without_end",
        ),
    ),
    "Something is lost or damaged": (
        Fault(
            "a power cut empties the newest files of a labels build",
            "the next build writes the torn commit again",
            "labels/test_faults.py::test_a_power_cut_that_empties_what_was_written_last_is_mended_by_the_next_build",
        ),
        Fault(
            "a checkpoint of a Delta log is torn or spoilt",
            "the commits are read instead, with a warning",
            "stores/test_delta_table.py::test_a_checkpoint_that_cannot_be_read_is_set_aside_and_the_commits_are_read",
        ),
        Fault(
            "labels are flipped in their Parquet file",
            "the snapshot is refused; remove the file, and a build as of the same instant makes it again",
            "labels/test_damaged_files.py::test_labels_turned_over_in_their_file_are_refused_and_built_again",
        ),
        Fault(
            "a component loses its files",
            "it is made again",
            "stores/test_steps.py::test_a_model_that_lost_its_files_or_its_evidence_is_made_again_in_its_place",
        ),
        Fault(
            "the user may not write the home or a named file",
            "one message, exit code 2; reading commands still work",
            "cli/test_failures.py::test_who_may_only_read_can_list_show_verify_explain_and_score",
        ),
        Fault(
            "the user has no name on this machine",
            "`--by` is asked for, exit code 2",
            "cli/test_failures.py::test_a_person_without_a_name_is_asked_for_one",
        ),
        Fault(
            "the disk is full, for a file or for output",
            "one message, exit code 3",
            "cli/test_failures.py::test_a_limit_on_the_size_of_files_ends_in_one_message",
        ),
        Fault(
            "an unexpected error in any command",
            "one message, exit code 3, and the traceback in a file below `faults` in the home",
            "cli/test_failures.py::test_an_error_inside_any_command_is_one_message_exit_code_3_and_a_report_file",
        ),
        Fault(
            "the disk is full during a build",
            "one message; the last snapshot stays valid",
            "labels/test_faults.py::test_a_full_disk_in_the_middle_of_a_build_leaves_the_last_snapshot",
        ),
        Fault(
            "the home is copied",
            "the copy uses only its own files",
            "stores/test_database.py::test_a_copied_home_reads_and_writes_below_itself_alone",
        ),
        Fault(
            "a backup is incomplete",
            "nothing is restored",
            "stores/test_backup.py::test_a_backup_that_is_not_whole_restores_nothing",
        ),
    ),
    "Evidence, releases or aliases are changed": (
        Fault(
            "evidence is edited in MLflow",
            "nothing is promoted (exit code 1)",
            "promotion/moves/test_promote.py::test_evidence_that_somebody_edited_promotes_nothing",
        ),
        Fault(
            "another release has the champion's number after a loss of the registry",
            "refused: alias updates name bytes, not numbers",
            "promotion/moves/test_promote.py::test_a_release_that_only_shares_the_number_of_the_champion_is_not_promoted",
        ),
        Fault(
            "a row of the audit is removed, changed or moved, while Airflow runs",
            "`release verify` names the row, the page in Airflow shows it, a retrain warns, a promotion ends at its "
            "first try",
            "e2e/test_stages.py::test_a_row_that_was_tampered_with_is_found_by_verify_on_the_page_and_by_a_promotion",
        ),
        Fault(
            "a challenger of months ago is promoted",
            "evaluated as of today and held for its age",
            "promotion/moves/test_promote_later.py::test_a_challenger_of_months_ago_is_judged_as_of_today",
        ),
        Fault(
            "events of one name stop between a retrain and its promotion",
            "newly matured labels hold the release",
            "promotion/moves/test_promote_later.py::test_a_stream_of_events_that_fell_silent_since_holds_the_release",
        ),
    ),
    "Irregular logs and inputs": (
        Fault(
            "the as-of lies beyond the end of the log",
            "later labels stay immature, with a warning",
            "labels/test_build.py::test_a_build_far_beyond_the_end_of_the_log_says_so_and_makes_no_negative",
        ),
        Fault(
            "the as-of is later than now",
            "refused (exit code 2)",
            "labels/test_build.py::test_an_as_of_after_now_is_refused_and_nothing_is_built",
        ),
        Fault(
            "a file is replaced while it is read",
            "one message, never other labels",
            "logs/test_session.py::test_a_file_that_is_replaced_while_labels_are_built_is_one_message",
        ),
        Fault(
            "a Delta table has deletion vectors, renamed columns or another feature",
            "refused by the feature's name",
            "logs/test_sources.py::test_a_delta_table_that_is_more_than_its_files_is_refused_by_the_feature_s_name",
        ),
        Fault(
            "all events of a day are missing, also in a first week",
            "validation names the day, or reports that it was not tested",
            "validation/test_day_rules.py::test_a_silent_day_of_a_first_week_is_found_by_all_its_days",
        ),
        Fault(
            "a feature is infinite",
            "`validate` names it with its rows before anything is trained (exit code 1)",
            "validation/test_row_measurements.py::test_an_infinite_feature_of_the_log_is_a_critical_failure_of_its_suite",
        ),
        Fault(
            "candidates have unknown categories",
            "`score` counts them by feature",
            "release/test_loading.py::test_unseen_categories_and_values_out_of_range_are_counted",
        ),
    ),
}
"""Faults by heading, in the order of the page."""


def lines() -> Iterator[str]:
    """Yield the lists of the page."""
    for title, faults in FAULTS.items():
        yield from ("", f"## {title}", "")
        yield from (f"- **{fault.when}**: {fault.then}" for fault in faults)


def page(text: str) -> str:
    """Return the page with its lists made anew."""
    return text[: text.index(START) + len(START)] + "\n" + "\n".join(lines()) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
