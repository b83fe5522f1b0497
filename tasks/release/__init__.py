"""Builds, packages, loads, scores and verifies releases.

::

    parts                       versions of the models, calibrators and policies of a release
      refit                     refit of the tested recipe up to the newest labels, and its shift
      factor_models             factor models that measure a slow joint on days that serving factors learned
      release_days              evaluation of the heads on the test days: figures, proxies, conflicts
        packaging               the release's folder, its signature and its code, as a pyfunc
          assemble, step        one registered, immutable version; the same inputs give the same bytes
    model, loading, view        MLflow's script; loading, showing and verifying a release
      vouching                  check of a release against the audit when MLflow alone loads it
      serve                     MLflow's server of a release, with limits
    score, sensitivity          scoring of candidates, and the effect of calibration errors

Steps: assemble, factor_models, inputs, parts, refit, release_days, score, serve, step, view, vouching.
With mlflow: loading, model, packaging.
"""
