"""What a release is judged by: each module turns evidence and a bound into verdicts.

::

    judge                                       every gate, in order
      calibration, model, same_day, references  what heads predict, also by segment (``segment_losses``)
      lineage, policy                           what the release was made of, and how it decides
    loosened                                    bounds that let more through than when the release was made
    reports                                     what the release step reports beside its figures
"""
