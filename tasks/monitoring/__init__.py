"""Monitors a surface after a release: daily series of predictions and outcomes.

In reading order::

    levels         observed against predicted of one task: calibration, normalized entropy, AUC by request
    traffic        a week of labelled impressions with the predictions of the serving release
    serving        daily figures without outcomes: impressions, predictions, shares of segments, differences
                   of logged and recomputed predictions, distance of features from the champion's train
                   days, share of returning users
    decisions      contributions of terms and drops by constraints when the champion scores logged requests,
                   and exposure of groups relative to their merit, with the boosts that control it
    early          estimates for days whose labels are not mature
    series         the table of series in the home
    alarms         shifts of levels
    units          units whose negative events exceed their predictions; value and cost of each source
    page           the page of a surface's series, and the newest levels and alarms for Prometheus
    monitor        the monitoring step: days that matured since the last run, one week at a time

Steps: decisions, early, monitor, page, series, serving, traffic, units.
"""

__all__ = ["monitor"]
