"""Labels of impressions: compiled from tasks.yaml to SQL, built from the log, stored as snapshots, explained.

In reading order::

    windows                                time range of a label, and the events that may count
    credit                                 events credited to an impression
    status                                 status and label, parents before children
    query, compile                         one SQL query, or its relations one by one; provisional labels
    spark_build                            the query on Spark
    build_record, build                    a build: the days that it rewrites, one commit to the store; state
                                           of each task's days: mature, immature, failed, not validated
    snapshot, store                        snapshots, and the label store that holds them; removal of old ones
    show, compare                          counts, export and comparison of snapshots
    explain                                reasons for the labels of one impression
      explanation, explanation_text

Steps: build, compare, compile, explain, show, snapshot, spark_build, store.
"""

__all__ = [
    "build",
    "build_record",
    "compare",
    "compile",
    "explain",
    "show",
    "snapshot",
    "store",
]
