"""What people read of a release and of a surface, as values that templates lay out.

::

    dossier                           the page of one decision
      sentences, model_words, next_steps, reasons
                                      verdicts in plain words, made from their values alone
      first_screen, changes, rails    what an approver reads: verdict, why, what to do, what changed, bounds
      decision_part, task_rows, calendar, lineage, verdict_table, calibration, heat_map, proxy_figures
                                      what an engineer digs into
    overview_page                     how a surface stands, for the page in Airflow
"""
