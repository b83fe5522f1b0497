"""The stores of a home: MLflow runs and registry, Delta tables, audit, aliases and locks.

Each process opens `Store.open(home)` once and passes it on in a `Workspace`; no other module opens a
connection. In reading order::

    store, workspace             the opened home; a surface with its contracts and its home
      registry                   registered models, whose versions are identified by the sha256 of their files
      runs, steps                runs with their evidence; steps that reuse the evidence of equal inputs
        tracking, database       the MLflow client; the sqlite database that it opens
      audit, aliases             one row per alias update and approval; champion, previous and canary
      releases, manifest         releases and policies of a surface as registered models; their components
      delta                      tables: files committed by one log
        location, object_store   a local folder or a prefix of an object store
        files                    durable writes; one process at a time
      removal                    permanent removal of a surface's MLflow entities
      backup                     copy of a home while it is in use
      projects                   the run that MLflow opened for a process of an MLflow project

Importing `Store` or `Workspace` imports no MLflow: the members of a store do when they are first used.
"""

from tasks.stores.store import Store, home_folder
from tasks.stores.workspace import (
    Workspace,
    format_instant,
    parse_instant,
    refuse_future,
    surfaces_folder,
    write_report,
)

__all__ = [
    "Store",
    "Workspace",
    "format_instant",
    "home_folder",
    "parse_instant",
    "refuse_future",
    "surfaces_folder",
    "write_report",
]
