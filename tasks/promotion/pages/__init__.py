"""The contents of a release's dossier and of a surface's page, as values for templates.

::

    dossier                           the page of one decision
      first_screen, changes           for reviewers: verdict, primary metric, next step, changes, limits
      task_rows, calibration          for engineers: the evidence in detail
    overview_page                     the state of a surface, for the page in Airflow
"""
