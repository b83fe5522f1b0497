"""Offline evaluation: logged candidates replayed under policies, and the newest traffic in shadow.

In reading order::

    log, outcomes                  a candidate log, the slates of a policy on it, and what shown items led to
    read_log, joined_columns       candidate rows read block by block into a log, weighed by ``inclusion``
    logged_candidates, slates      the candidates of the test days; what releases and policies put into slots
    orders, leaks                  the logged order and a column's as a baseline; broken hard constraints
    decided_slice, spark_stream    blocks decided by every entrant here or by Spark; ``entrants`` loads them
    metrics, rates, terms          sums by user: rates, ``exposure``, what each term of the utility adds
    compared, replay_policies      policies compared on the same candidates, with ``grouped`` intervals
    guardrails, primary, costs     bounds of a policy, evaluated; ``filled`` counts filled slots
    replay                       every figure and verdict of a release, and ``champion_comparison``
    off_policy_check               each figure estimated from the log's propensities alone
    evidence                       what simulation, shadow and comparison found, as documents
    simulate                       the simulation step; ``page`` its report, ``notes`` what it cannot measure
      measured_policies            how many policies were measured on the same days
    policy_diff, moves             two policies on the same candidates, side by side
    shadow                         challenger and champion on the newest traffic: its verdicts and examples

Steps: decided_slice, entrants, logged_candidates, measured_policies, notes, policy_diff, shadow, simulate,
    slates, spark_stream.
"""

__all__ = ["policy_diff", "shadow", "simulate"]
