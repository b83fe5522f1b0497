"""What serves: parts pinned, packed and digested; loaded, scored and verified.

::

    parts, trained              which models, calibrators and policies a release is made of
      refit                     the tested recipe repeated up to the newest labels, and how far it shifts
      factor_models             factors that measure a slow joint on days that serving factors have learned
      release_days              the heads applied to the test days: figures, proxies, conflicts
        packaging               the release's folder, its signature and the code that travels, as a pyfunc
          assemble, step        one registered, closed version; the same inputs give the same bytes
    model, loading, view        MLflow's script, a release loaded, shown and verified
      vouching                  whether the audit vouches for what MLflow alone loads
      serve                     MLflow's server of a release, behind limits
    score, sensitivity          candidates scored, and what calibration errors leave open

Steps: assemble, factor_models, inputs, parts, refit, release_days, score, serve, step, trained, view,
vouching.
With mlflow: loading, model, packaging.
"""
