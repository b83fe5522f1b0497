"""The log that arrives: its files are found, their columns checked, their rows profiled and read.

::

    sources ─ postgresql, spark      the Parquet files of each table
      footers, checks                their columns, under our names, as the contracts need them
        tables                       the log tables in a DuckDB session; ``session`` opens them
          rows, schema               which rows and columns take part
          summaries, duplicate_keys  what each file holds, once a file
            profile, days            the log by day as of an instant
            quarantine               the rows that take part in no build
    sketch                           a log without contracts, for a first draft of them
    schema_fit, history              what the contracts ask of the columns, and the log's days, before a build
    arrival                          whether the log has arrived at all

Steps: arrival, quarantine, session, sketch, sources, spark.
"""
