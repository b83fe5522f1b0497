"""Utility weights tuned on logged candidates of days of their own, and proposed as a policy's next version.

In reading order::

    search         the weights that may be proposed, and trials under bounds
    goal           the metric to raise and the bounds, measured on a half of the candidates
    tuning_slice   the two halves of the tuning days: users who search, users who check
      front        which points no other dominates, and the volume they hold
    tuned          the front, the smallest change that meets the bounds, and what unseen users show
    tune           the tuning step: trials in MLflow, the proposed utility.yaml, the evidence
    page           its report; ``evidence`` its document

Steps: tune, tuning_slice.
"""

__all__ = ["tune"]
