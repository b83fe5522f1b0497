"""Offline evaluation: policies replayed on logged candidates, and releases shadowed on the newest traffic.

In reading order::

    log, outcomes                  a candidate log, a policy's slates on it, and the outcomes of shown items
    read_log, joined_columns       read candidate rows into a log, with weights by ``inclusion``
    logged_candidates, slates      read the candidates of the test days; score them and fill slates
    orders, leaks                  the logged order or a column's order as a baseline; broken hard constraints
    decided_slice, spark_stream    decide blocks for every entrant, here or by Spark; ``entrants`` loads them
    metrics, rates, terms          sums by user: rates, ``exposure``, the terms of the utility
    compared, replay_policies      compare policies on the same candidates, with ``grouped`` intervals
    guardrails, primary, costs     evaluate the bounds of a policy; ``filled`` counts filled slots
    evaluate                       every figure and verdict of a release; see also ``champion_comparison``
    off_policy_check               estimate each figure from the log's propensities alone
    evidence                       documents of simulation, shadow and policy comparison
    simulate                       the simulation step; ``page`` its report, ``notes`` what it cannot measure
      measured_policies            how many policies were measured on the same days
    policy_diff, moves             compare two policies on the same candidates
    shadow                         challenger and champion on the newest traffic: verdicts and examples

Steps: decided_slice, entrants, logged_candidates, measured_policies, notes, policy_diff, shadow, simulate,
    slates, spark_stream.
"""

__all__ = ["policy_diff", "shadow", "simulate"]
