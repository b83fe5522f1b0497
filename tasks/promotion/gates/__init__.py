"""What a release is judged by: each module turns evidence and a bound into verdicts.

::

    judge                                   every gate, in order
      calibration, model, gains, references what heads predict, also by segment
      lineage, policy                       what the release was made of, and how it decides
      reports                               what the release step reports beside its figures
    loosened                                bounds that let more through than when the release was made
"""
