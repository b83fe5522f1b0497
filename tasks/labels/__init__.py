"""Labels: the outcomes of impressions, from the contract to the label store.

::

    maturity, windows                     how far a label reaches, and the events that may count
      join_form, scan_form, credit        which events an impression is credited with
      status                              what follows for status and label, parents before children
        query, compile, script            all of it as one SQL query, or as relations one by one
          relations, write_days           the query run where the log is, with DuckDB or
          spark_build                     with Spark
            build_record, coverage        which days a build rewrites
            digest, changes               what it made, and which labels it changed
              build                       a build: one commit to the store
    store, snapshot                       the label store and the snapshots in it
    show, export, compare, vacuum         a snapshot counted, written to a file, compared; old ones swept
    count                                 the labels of some days counted in the log, before a build
    calendar                              each task's days: mature, immature, failed, not validated
    explain, missing_impression           why an impression has its labels, or has none
      explanation, explanation_query, explanation_facts, explanation_text
    spared                                the effect of ``before_positive`` on a base rate

Steps: build, compare, explain, export, missing_impression, show, snapshot, store, vacuum.
"""
