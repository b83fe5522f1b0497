"""Tunes utility weights on logged candidates of separate days, and proposes the next version of a policy.

In reading order::

    search         the space of weights, trials under bounds, and their front
    goal           the metric to maximise and the bounds, measured on half of the candidates
    tuning_slice   the two halves of the tuning days: users who search, users who confirm
    tuned          the front, the smallest change that meets the bounds, and the confirmation on unseen users
    tune           the tuning step: trials in MLflow, the proposed utility.yaml, the evidence
    page           its report; ``evidence`` its document

Steps: tune, tuning_slice.
"""

__all__ = ["tune"]
