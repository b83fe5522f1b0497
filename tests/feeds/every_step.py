"""Imports the steps of a retrain and of a promotion, which `tasks.pipeline` does when they run."""

import tasks.calibration.step
import tasks.labels.build
import tasks.pipeline
import tasks.promotion.moves.promote
import tasks.training.plan
import tasks.validation.step  # noqa: F401  # imported to be there in processes that are forked
