"""What a surface lacks before people may rely on it.

::

    standing                    reads contracts, release, verdicts and audit; every line, in order
      facts                     what was read, and what a line is
        labels                  outcomes, windows, maturity, masks, loss weights, negatives
        policies                weights, versions, guardrails, filters, slates, changes
        releases                calibration, segments, components
"""
