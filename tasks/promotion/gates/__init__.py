"""The gates of a release: each module turns evidence and a limit into verdicts.

::

    model, gains, references    predictions of the heads and their calibration, overall and by segment
    lineage, policy             components of the release, and its policies
    reports                     what the release step reports in addition to metrics
    loosened                    limits that are looser than when the release was made
"""
