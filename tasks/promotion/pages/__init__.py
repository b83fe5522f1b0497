"""What people read of a release and of a surface, as values that templates lay out.

::

    dossier                           the page of one decision
      first_screen, changes, rails
                                      what an approver reads: verdict, primary, next step, changes, limits
      task_rows, calendar, lineage, calibration, task_pairs
                                      what an engineer digs into
    overview_page                     how a surface stands, for the page in Airflow
"""
