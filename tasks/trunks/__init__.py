"""A shared trunk: one network for several tasks, learned from streamed rows (JAX, the extra ``trunk``).

In reading order::

    rows        streamed tables as records on disk, in shuffled batches
    network     the arrays before training, and the losses of a batch
    optimise    steps: gradients, the balance of the tasks, updates
    train       epochs, checkpoints, the epoch that is kept, and its files

Serving is ``tasks.ranking.trunk``, without JAX.
"""

__all__ = ["rows", "train"]
