"""Whether a release may serve: gates, decision, dossier, approvals, and the aliases that move.

::

    gates, lineage_gate, ...    evidence and bounds -> verdicts
      decision                  verdicts -> Promote | Hold
        gate                    the gate step; compose makes the dossier, show_dossier writes it anew
          provenance            reads what a release was made of, and what it is held against
    dossier, pages              what people read of a release
    rules                       what a promotion rests on, and who has to agree
      answers, approve          what reviewers answered, in Airflow and on the command line
      case, case_page           the case as reviewers read it
        promote, rollback       the moves of the champion; propose asks for one
    readiness                   what a surface lacks before people may rely on it, as it is standing
    overview, overview_page     how a surface stands, for the page in Airflow; nothing is ever written

Steps: answers, approve, case, compose, gate, overview, promote, propose, provenance, rollback, show_dossier,
standing.
"""
