"""Online experiments: planned from the log's past, read as of an instant, and decided by a declared rule.

In reading order::

    arms_log     sums of each metric by user and day, from a label snapshot
    effects      what each metric shows, and ship, hold or stop
    plan         the step that plans an experiment and pins its file and releases
    read         the step that reads it: sample ratio first, then effects
    results      plans and read-outs that were recorded
    page         the report of a read-out

Steps: arms_log, effects, plan, read, results.
"""

__all__ = ["plan", "read", "results"]
