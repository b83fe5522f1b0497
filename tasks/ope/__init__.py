"""Off-policy evaluation: the reward that another policy would have earned, from a log with propensities.

In reading order::

    log_rows                  the two tables, checked: a row per shown item, a row per item that may be shown
        slates                SIPS, IIPS, RIPS, cascade-DR, adaptive IPS: rewards may depend on other slots;
                              weights of a policy that always shows one ranking, for the simulation
        estimators            IPS, SNIPS, DM, DR, Switch-DR, DRos of a slot, and estimators of slates, as
                              sums; expected rewards: means by item and position, cross-fitted
          overlap             whether the log supports the target
            estimate          one report with a verdict
    gradient                  the gradient of a mean reward by policy weights, from perturbed weights
    off_policy                reads the two tables from Parquet, for the commands

The estimators take arrays and return a term for each row or slate; the mean of the terms is the estimate.

Steps: off_policy.
"""

__all__ = ["off_policy"]
