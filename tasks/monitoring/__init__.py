"""A surface after the release: daily series of predictions and outcomes.

In reading order::

    levels         observed against predicted of one task: calibration, normalized entropy, AUC by request
    traffic        a week of labelled impressions with the predictions of the release that served
    serving        figures of a day that need no outcome: impressions, predictions, the mix of segments, and
                   whether releases served what they predict of the logged features, how far features
                   are from the days that the champion learned from, whether a day's users come back
    decisions      what terms contribute and constraints drop, of requests that the champion decides anew, and
                   exposure of groups relative to their merit, with the boosts that keep it at its target
    delays         share of a day's events that arrived within one and two days
    early          days whose labels are not mature
    series         the table of series in the home
    alarms         which levels shifted since when, by the CUSUM of ``drift_alarms``
    review_queue   units whose negative events exceed their predictions
    sources        what the items of each source bring and cost
    page           the page of a surface's series, and the newest levels and alarms for Prometheus
    monitor        the monitoring step: days that matured since the last run, one week at a time

Steps: decisions, early, monitor, page, review_queue, series, serving, sources, traffic.
"""

__all__ = ["monitor"]
