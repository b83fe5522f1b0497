"""Online experiments and ramps: releases that serve side by side, and what follows from what users did.

In reading order::

    arms_log       sums of each metric by user and day, from a label snapshot
      arm_effects    the change of a metric between two arms, with users' own past taken out
      always_valid   intervals that hold at every reading, and whether users were assigned as planned
    effects        what each metric shows, and ship, hold or stop
    plan           the step that plans an experiment and pins its file and releases
    read           the step that reads it: sample ratio first, then effects
      evidence     what plans and read-outs record, as documents
    results        plans and read-outs that were recorded
    page           the report of a read-out
      assignment   the arm of a user in a ramp, a nested hash
      ramp_log     what the log shows of a ramp, by user, day and release
      ramp         what becomes of a release in its ramp
    learn          the step that learns the utility's ``weights`` from finished experiments
    perturbed      the step that learns them from users whose weights were perturbed
    offline        effects of finished experiments on the changes that the gate had printed, and changes of
                   slow outcomes on those of fast ones

Steps: arms_log, assignment, effects, learn, offline, perturbed, plan, ramp, ramp_log, read,
results.
"""

__all__ = ["learn", "plan", "ramp", "read", "results"]
