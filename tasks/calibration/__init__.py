"""Calibrates scores to probabilities: maps are fitted on the calibrate days and chosen on held-out users.

In reading order::

    fit                                isotonic, logistic and mean maps, and the map of a joint probability
    segment_design, segment_fit        effects of segments on a map, shrunk
    choice                             no map, one map, or one by segment: chosen on held-out users; the
                                       results as a document
    head_models                        trees, a shared trunk, or their blend: chosen on the same users
    reliability, pictures              reliability curves with intervals, and charts of them
    step                               the step that calibrates a task

Steps: step, pictures, choice, head_models.
"""

__all__ = ["fit", "pictures", "reliability", "step"]
