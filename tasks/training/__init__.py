"""Trains one LightGBM per task: selects days, draws and weighs examples, and grows trees.

In reading order::

    slices, rows, inputs                 the days of a task, its rows, and the inputs of a model
    encoding, sampling                   features as codes; sampled rows and their loss weights
    examination, debiasing               correction of outcomes for position, delay and non-response
    examples, draw_examples              the examples of one task
    log_odds, fit                        LightGBM with early stopping on held-out users
    cluster                              training on a Dask cluster
    trees                                the trees of a task, with a warm or a dense start; a trained model
    search                               the parameter search, with one run per trial
    trainable, outlook, plan             checks before a retrain: its tasks and the data that they lack
    evidence                             results of training, as documents
    same_day, picture                    comparison of two recipes; importances and learning curves
    step                                 the step that trains a task
    trunk_rows, trunk_step               the rows of the tasks that share a trunk, and the step that trains it

Steps: step, cluster, same_day, outlook, plan, examination, rows, debiasing, draw_examples, search, trees,
    trunk_rows, trunk_step.
"""

__all__ = ["debiasing", "examination", "plan", "rows", "same_day", "slices", "step", "trunk_step"]
