"""Maps from a model's scores to probabilities: fitted on the calibrate days, chosen on held-out users.

Steps: step, pictures, task_map.
"""
