"""Weights tuned on logged candidates of days of their own, and proposed as the next version of a policy.

::

    space, goal            the weights that may be proposed, and what they are tuned for
      search, restore      trials under bounds; the smallest change that brings bounds back
        rehearsed_weights  weights as slates of a part of the candidates
          tuned            the front, what is chosen, and what users unseen by the search say of both
            tune           the tuning step on ``tuning_slice``, with ``trials`` in MLflow
    proposal, page, figure what it writes: utility.yaml with the next version, and its report
"""
