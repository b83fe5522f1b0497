"""What another policy would have earned, from a log whose policy wrote down its probabilities.

::

    log_rows, target_rows     the two tables, checked: a row a shown item, a row an item that may be shown
      reward_model            what a reward is expected to be: means by item and position, cross-fitted
        slots                 IPS, SNIPS, DM, DR, Switch-DR, DRos: a reward depends on its own item
        slates                SIPS, IIPS, RIPS, cascade-DR, adaptive IPS: it may depend on others
          tuning, bounds      how far weights are shrunk; intervals by user, empirical Bernstein
            overlap           whether the log speaks of the target at all
              estimate        all of it as one report with a verdict

    rankings                  weights of a policy that always shows one ranking, for the simulation

The estimators take arrays and give each row's or slate's term, whose mean is the estimate.
"""
