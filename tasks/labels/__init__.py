"""Labels of impressions: compiled from tasks.yaml to SQL, built from the log, kept as snapshots, explained.

In reading order::

    maturity, windows                      how far a label reaches in time, and the events that may count
    credit                                 the events that an impression is credited with
    status                                 status and label, parents before children
    query, compile                         all of it as one SQL query, or as relations one by one
    relations, spark_build                 the query run where the log is, with DuckDB or Spark
    coverage                               the days that a build rewrites
    build_record, build                    a build: one commit to the store
    snapshot, store                        the snapshots, and the label store that holds them
    provisional                            what has happened so far on days that are not mature
    calendar                               each task's days: mature, immature, failed, not validated
    show, compare, export, vacuum          a snapshot counted, compared, exported; old snapshots removed
    explain                                why an impression has its labels
      explanation, explanation_facts, explanation_text

Steps: build, compare, explain, export, provisional, show, snapshot, spark_build, store, vacuum.
"""

__all__ = [
    "build",
    "build_record",
    "calendar",
    "compare",
    "compile",
    "explain",
    "export",
    "provisional",
    "show",
    "snapshot",
    "store",
    "vacuum",
]
