"""Whether a release may serve: gates, decision, dossier, approvals, and the aliases that move.

::

    gates/           evidence and bounds -> verdicts
      decision       verdicts -> promote or hold
        gate         the gate step: provenance reads what a release is held against, compose makes the dossier
    pages/           what people read; show_dossier writes the page anew
    moves/           who has to agree, and the moves of champion, canary and previous
    readiness/       what a surface lacks before people may rely on it
    prune            retention: what the surface's `keep` no longer keeps is removed
    overview         how a surface stands, for the page in Airflow; nothing is ever written

Steps: answers, approve, checklist, compose, gate, overview, promote, propose, provenance, prune, ramp,
request, rollback, show_dossier.
"""
