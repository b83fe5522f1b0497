"""What a release is judged by: each module turns evidence and a bound into verdicts.

::

    judge                                       every gate, in order
      calibration, model, same_day, references  what heads predict, also by segment (``segment_losses``)
      lineage, policy, front                    what the release was made of, and how it decides
    loosened                                    bounds that let more through than when the release was made
    unchanged_parts, unmeasured_joints          verdicts that are carried over, or cannot be reached
"""
