"""Reading of the log: finding files, checking columns, profiling and selecting rows.

In reading order::

    sources                                the Parquet files of each table
      connections, parquet_footer          DuckDB connections; footers of Parquet files
      footers, checks                      files with rows; their columns under standard names; quarantine
        rows                               selection of rows; the log by day as of an instant
        tables, session                    the log tables in a DuckDB session; rows as a pandas frame
        spark                              Spark sessions
          summaries                        the content of each file, computed once per file
          profile                          the log by day as of an instant; keys in several files
    arrival                                whether the log has arrived; its days before a build
    schema_fit                             requirements of the contracts on columns
    sketch                                 facts about a log without contracts, for a first draft

Steps: arrival, checks, session, sketch, sources, spark.
"""
