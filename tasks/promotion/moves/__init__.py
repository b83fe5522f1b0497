"""Promotion requests, approvals and alias updates.

::

    rules                the inputs of a promotion: request, evidence digest, support
      request               the request as reviewers read it
      answers, approve   reviewers' answers, in Airflow and on the command line
      override           which verdicts a declared role may override
        promote          updates champion or canary; propose requests a promotion after a retrain
        ramp             moves the canary from stage to stage
        rollback         restores the previous champion
"""
