"""Offline evaluation: logged candidates replayed under policies, and the newest traffic in shadow.

In reading order::

    log, outcomes                  a candidate log, the slates of a policy on it, and what shown items led to
    log_block, read_log            blocks of candidate rows joined to a log; weights by ``inclusion``
    logged_candidates, slates      the candidates of the test days; what releases and policies put into slots
    orders, leaks                  the logged order and a column's as a baseline; broken hard constraints
    decided_block, decided_slice   blocks decided by every entrant, and joined; ``entrants`` loads them
    stream, spark_stream           the blocks of a test slice read and decided one by one, or by Spark
    metrics, terms                 sums by user: rates, exposure, what each term of the utility adds
    replay_policies                policies compared on the same candidates, with intervals
    guardrails, primary, costs     bounds of a policy, evaluated
    off_policy_check               each figure estimated from the log's propensities alone
    simulate                       the simulation step; ``page`` its report, ``notes`` what it cannot measure
    policy_diff                    two policies on the same candidates, side by side
    shadow                         challenger and champion on the newest traffic
    off_policy                     a target policy estimated from a log with propensities

Steps: entrants, logged_candidates, measured_policies, notes, off_policy, policy_diff, shadow, simulate,
    slates, spark_stream, stream.
"""

__all__ = ["off_policy", "policy_diff", "shadow", "simulate"]
