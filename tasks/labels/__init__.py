"""Labels of impressions: compiled from tasks.yaml to SQL, built from the log, stored as snapshots, explained.

In reading order::

    windows                                time range of a label, and the events that may count
    credit                                 events credited to an impression
    status                                 status and label, parents before children
    query, compile                         one SQL query, or its relations one by one; provisional labels
    spark_build                            the query on Spark
    build_record, build                    a build: the days that it rewrites, one commit to the store; state
                                           of each task's days: mature, immature, failed, not validated
    snapshot, store                        snapshots, and the label store that holds them
    show, compare, export, vacuum          counts, comparison and export of snapshots; removal of old ones
    explain                                reasons for the labels of one impression
      explanation, explanation_text

Steps: build, compare, compile, explain, export, show, snapshot, spark_build, store, vacuum.
"""

__all__ = [
    "build",
    "build_record",
    "compare",
    "compile",
    "explain",
    "export",
    "show",
    "snapshot",
    "store",
    "vacuum",
]
