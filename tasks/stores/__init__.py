"""The stores of a home: MLflow runs and registry, Delta tables, audit, aliases and locks, opened once.

`Store.open(home)` is made once per process and handed down in a `Workspace`; no other module opens a
connection. In reading order::

    store, workspace             the opened home; a surface with its contracts and its home
      registry, parts, boosters  registered models: versions known by the sha256 of their files
      runs, steps                runs with their evidence; a step that reuses the evidence of equal inputs
        tracking, database       the MLflow client; the sqlite database that it opens
      audit, aliases             one row for each alias update and approval; champion, previous and canary
      releases, manifest         the releases of a surface; what a release is made of
      policies                   utility and slate policy as registered parts
      delta                      tables: files committed by one log
        location, object_store   a folder of this machine or a prefix of an object store
        files, locks             files that are on the disk; one process at a time
      removal                    what MLflow holds of a surface, removed for good
      backup                     a home copied while it is worked in
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
