"""The log: its files are found, their columns checked, their rows profiled and read.

In reading order::

    sources ─ postgresql                   the Parquet files of each table
      parquet_footer, footers, checks      which files hold rows; their columns under our names; quarantine
        rows, schema                       the rows and columns that take part; rows as a frame of pandas
        tables, session                    the log tables in a DuckDB session
        spark, limits                      the same in Spark; threads and memory of an engine
          summaries                        the content of each file, computed once a file
          profile, days                    the log by day as of an instant; keys in several files
    arrival                                whether the log has arrived; its days before a build
    schema_fit                             what the contracts ask of the columns
    sketch                                 a log without contracts, for a first draft of them

Steps: arrival, checks, session, sketch, sources, spark.
"""
