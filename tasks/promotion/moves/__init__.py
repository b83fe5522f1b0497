"""Promotion requests, approvals and alias updates.

::

    rules                the inputs of a promotion: request, evidence digest, support, overridden verdicts
      request            the request as reviewers read it, also made after a retrain
      answers            reviewers' answers
        promote          answers on the command line; updates champion or canary
        ramp             moves the canary from stage to stage
        rollback         restores the previous champion
"""
