"""What moves an alias, and who has to agree.

::

    rules                what a move rests on: request, evidence digest, support
      request               the request as reviewers read it
      answers, approve   what reviewers answered, in Airflow and on the command line
      override           which verdicts a declared role may lift
        promote          champion or canary; propose asks for it
        ramp             the canary from stage to stage
        rollback         back to the previous champion
"""
