"""Decide whether a release may serve: gates, decision, dossier, approvals and alias updates.

::

    gates/           evidence and limits -> verdicts
      decision       every gate, in order; verdicts -> promote or hold
        gate         the gate step; provenance reads the champion's components, compose builds the dossier
    pages/           the dossier's pages; compose also writes a page again
    moves/           requests, approvals, and updates of the aliases champion, canary and previous
    readiness/       the checklist of a surface before users rely on it
    prune            retention: removes what the surface's `keep` does not cover
    overview         the state of a surface for the page in Airflow; read-only

Steps: answers, checklist, compose, gate, overview, promote, provenance, prune, ramp, request, rollback.
"""
