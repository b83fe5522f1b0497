"""What the dossier says on each of its parts, as values that templates lay out.

::

    words, sentences, next_steps      verdicts in plain words, made from their values alone
    first_screen, changes, rails      what an approver reads: verdict, why, what to do, what changed, bounds
    decision_part, task_rows, calendar, shadow_part, lineage, verdict_table      what an engineer digs into
"""
