"""What a surface lacks before people may rely on it.

::

    checklist   reads contracts, release, verdicts and audit; every line, in order
      facts     what was read, and what a line is
      lines     each line, from what was read
"""
