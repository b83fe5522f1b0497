"""Maps from a model's scores to probabilities: fitted on the calibrate days, chosen on held-out users.

In reading order::

    fit                                isotonic, logistic and mean maps, and the map of a joint probability
    segment_design, segment_fit        effects of segments on a map, shrunk
    choice                             no map, one map, or one by segment: decided by held-out users
    head_models                        trees, a shared trunk, or their blend: decided by the same users
    reliability, pictures              a reliability curve with intervals; its drawings
    evidence                           what calibration found, as a document
    step                               the step that calibrates a task

Steps: step, pictures, choice, head_models.
"""

__all__ = ["fit", "pictures", "reliability", "step"]
