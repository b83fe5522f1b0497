"""The readiness checklist of a surface.

::

    checklist   reads contracts, release, verdicts and audit log; returns every item in order
      facts     the inputs of an item, and its result
      lines     one function per item
"""
