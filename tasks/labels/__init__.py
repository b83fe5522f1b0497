"""Labels of impressions: compiled from tasks.yaml to SQL, built from the log, kept as snapshots, explained.

In reading order::

    maturity, windows                      how far a label reaches in time, and the events that may count
    credit                                 the events that an impression is credited with
    status                                 status and label, parents before children
    query, compile                         one SQL query, or its relations one by one; provisional labels
    spark_build                            the query run on Spark
    build_record, build                    a build: the days that it rewrites, one commit to the store
    snapshot, store                        the snapshots, and the label store that holds them
    calendar                               each task's days: mature, immature, failed, not validated
    show, compare, export, vacuum          a snapshot counted, compared, exported; old snapshots removed
    explain                                why an impression has its labels
      explanation, explanation_text

Steps: build, compare, compile, explain, export, show, snapshot, spark_build, store, vacuum.
"""

__all__ = [
    "build",
    "build_record",
    "calendar",
    "compare",
    "compile",
    "explain",
    "export",
    "show",
    "snapshot",
    "store",
    "vacuum",
]
