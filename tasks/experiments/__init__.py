"""Online experiments and ramps: plans, read-outs and decisions on releases that serve side by side.

In reading order::

    arms_log       sums of each metric by user and day, from a label snapshot
      arm_effects    relative change of a metric between two arms, adjusted for users' history
      always_valid   intervals that are valid at every reading, and the test of the sample ratio
    effects        effects by metric, and the decision: ship, hold or stop
    plan           the step that plans an experiment and pins its file and releases
    read           the step that reads it: sample ratio first, then effects
      evidence     documents of plans and read-outs
    results        recorded plans and read-outs
    page           the report of a read-out
      ramp_log     the arm of a user in a ramp; sums of a ramp by user, day and release
      ramp         the next action for a release in its ramp
    learn          the step that learns the utility's weights from finished experiments
    perturbed      the step that learns them from users with perturbed weights
    offline        regressions of experiments' effects on the gate's replays, and of slow outcomes' changes
                   on those of fast ones

Steps: arms_log, effects, learn, offline, perturbed, plan, ramp, ramp_log, read,
results.
"""

__all__ = ["learn", "plan", "ramp", "read", "results"]
