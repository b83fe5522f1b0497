"""A surface after the release: daily series of predictions and outcomes.

In reading order::

    levels         observed against predicted of one task: calibration, normalized entropy, AUC by request
    traffic        a week of labelled impressions with the predictions of the release that served
    serving        figures of a day that need no outcome: impressions, predictions, the mix of segments
    parity         whether releases served what they predict of the logged features
    features       how far features are from the days that the champion learned from
    decisions      what terms contribute and constraints drop, of requests that the champion decides anew
    exposure       exposure of groups relative to their merit, and the boosts that keep it at its target
    retention      whether a day's users come back
    events         moves of aliases and changed policies, from the audit
    delays         share of a day's events that arrived within one and two days
    early          days whose labels are not mature, with ``early_estimates``
    series         the table of series in the home
    alarms         which levels shifted since when, by the CUSUM of ``drift_alarms``
    queue          units whose negative events exceed their predictions, ranked by ``review_queue``
    sources        what the items of each source bring and cost
    textfile       the newest levels and alarms for Prometheus
    page           the page of a surface's series
    monitor        the monitoring step: days that matured since the last run, one week at a time

Steps: decisions, early, events, exposure, features, monitor, page, parity, queue, retention, series, serving,
sources, traffic.
"""

__all__ = ["monitor"]
