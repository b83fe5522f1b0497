"""Tunes utility weights on logged candidates of separate days, and proposes the next version of a policy.

In reading order::

    goal           the metric to maximise and the bounds, measured on half of the candidates
    front          points that are not dominated, their hypervolume and knee
    search         trials under bounds, the smallest change that meets them, the confirmation on unseen users
    tuning_slice   the two halves of the tuning days: users who search, users who confirm
    tune           the tuning step: trials in MLflow, the proposed utility.yaml, the evidence
    page           its report; ``evidence`` its document

Steps: tune, tuning_slice.
"""

__all__ = ["tune"]
