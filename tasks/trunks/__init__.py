"""Trains shared trunks: one network for several tasks on streamed rows (JAX, the extra ``trunk``).

In reading order::

    rows        streamed tables as records on disk, in shuffled batches
    network     the initial arrays, and the losses of a batch
    optimise    steps: gradients, balance of the tasks, updates
    train       epochs, checkpoints, choice of the epoch, and export to files

`tasks.ranking.trunk` serves trunks without JAX.
"""

__all__ = ["rows", "train"]
