"""Off-policy evaluation: what another policy would have earned, from a log with propensities.

In reading order::

    log_rows, target_rows     the two tables, checked: a row a shown item, a row an item that may be shown
      reward_model            what a reward is expected to be: means by item and position, cross-fitted
        slates                SIPS, IIPS, RIPS, cascade-DR, adaptive IPS: it may depend on others; weights of
                              a policy that always shows one ranking, for the simulation
        estimators            IPS, SNIPS, DM, DR, Switch-DR, DRos of a slot, and those of slates, as sums
          balance, overlap    whether the log supports the target at all
            estimate          all of it as one report with a verdict
    gradient                  the gradient of a mean reward by the weights of a policy, from perturbed weights
    off_policy                the two tables read from Parquet, for the commands

The estimators take arrays and give each row's or slate's term, whose mean is the estimate.

Steps: off_policy.
"""

__all__ = ["off_policy"]
