"""Offline evaluation: policies replayed on logged candidates, and releases shadowed on the newest traffic.

In reading order::

    log                            a candidate log, and a policy's slates on it
    inclusion                      weights of shown items, and of their known outcomes
    read_log, joined_columns       read candidate rows into a log
    logged_candidates, slates      read the candidates of the test days; score them and fill slates
    slate_checks                   broken hard constraints and filled slots
    decided_slice, spark_stream    decide blocks for every entrant, here or by Spark
    entrants                       loads them, and orders them by the log or a column as a baseline
    metrics, rates                 sums by user: rates and exposure
    compared, replay_policies      compare policies on the same candidates, with ``grouped`` intervals
    guardrails, costs              evaluate the bounds of a policy and its primary metric
    evaluate                       every figure and verdict of a release
    off_policy_check               estimate each figure from the log's propensities alone
    evidence                       documents of simulation, shadow and policy comparison
    simulate                       the simulation step; ``page`` its report
      measured_policies            how many policies were measured on the same days
    policy_diff, moves             compare two policies on the same candidates
    shadow                         challenger and champion on the newest traffic: verdicts and examples

Steps: decided_slice, entrants, logged_candidates, measured_policies, page, policy_diff, shadow, simulate,
    slates, spark_stream.
"""

__all__ = ["policy_diff", "shadow", "simulate"]
