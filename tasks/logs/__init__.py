"""Reading of the log: finding files, checking columns, profiling and selecting rows.

In reading order::

    sources ─ postgresql                   the Parquet files of each table
      parquet_footer, footers, checks      files with rows; their columns under standard names; quarantine
        rows, schema                       selection of rows and columns; rows as a pandas frame
        tables, session                    the log tables in a DuckDB session
        spark, limits                      Spark sessions; threads and memory of an engine
          summaries                        the content of each file, computed once per file
          profile, days                    the log by day as of an instant; keys in several files
    arrival                                whether the log has arrived; its days before a build
    schema_fit                             requirements of the contracts on columns
    sketch                                 facts about a log without contracts, for a first draft

Steps: arrival, checks, session, sketch, sources, spark.
"""
