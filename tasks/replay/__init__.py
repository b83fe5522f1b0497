"""What a release would do: logged candidates replayed under policies, and the newest traffic in shadow.

::

    stream, spark_stream        the test days read and decided block by block, in narrow columns
      decided_block, entrants     one block decided by every entrant; ``block_file`` is how it travels
      decided_slice               the blocks joined in columns that grow
    logged_candidates, log      the candidate sets of the test days, and the slates made of them
      slates, orders            what releases, policies and baselines put into the slots; ``scored`` holds it
        metrics, terms          sums by user: rates, exposure, what each term of the utility adds
          replay_policies       every policy on the same candidates, with intervals
            moves               who moves between two policies; ``policy_diff`` shows it
            guardrails          a policy's bounds, judged
            off_policy_check    beside each, what the log's propensities alone say of it
              simulate          the simulation step; ``page`` shows it, ``notes`` lists what it cannot measure
                measured_policies    how many were tried on the same days, and the luck of the best
    compare, shadow             champion and challenger on the newest traffic
    off_policy                  a target policy estimated from a log with propensities

    tuning/                     weights searched on days of their own, and one policy proposed

Steps: entrants, logged_candidates, measured_policies, notes, off_policy, policy_diff, shadow, simulate,
    slates, spark_stream, stream, trials, tune, tuning_slice.
"""
