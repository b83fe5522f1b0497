"""One LightGBM per task: its days, its examples, their weights, and the trees that learn from them.

In reading order::

    slices, rows, inputs                 the days of a task, its rows, and what a model is made from
    encoding, sampling, weights          features as codes; sampled rows; loss weights
    position, examination, debiasing     correction of outcomes for position, delay and non-response
    examples, draw_examples              the examples of one task
    log_odds, fit                        LightGBM with early stopping on held-out users
    cluster                              trees that a Dask cluster grows
    trees                                the trees of a task, with a warm or a dense start; a trained model
    search                               the parameter search, a run a trial
    trainable, outlook, plan             what a retrain will do, and what the log lacks for it
    evidence                             what training found, as documents
    same_day, picture                    two recipes compared; importances and learning curves
    step                                 the step that trains a task
    trunk_rows, trunk_step               the rows of the tasks that share a trunk, and the step that trains it

Steps: step, cluster, same_day, outlook, plan, examination, rows, debiasing, draw_examples, search, trees,
    trunk_rows, trunk_step.
"""

__all__ = ["debiasing", "examination", "plan", "rows", "same_day", "slices", "step", "trunk_step"]
