"""A surface after the release: daily series of what was served and what came of it.

In reading order::

    levels         observed against predicted of one task: calibration, normalized entropy, AUC by request
    traffic        a week of labelled impressions with the predictions of whoever served them
    series         the table of series in the home
    monitor        the monitoring step: days that matured since the last run, one week at a time

Steps: monitor, series, traffic.
"""

__all__ = ["monitor"]
