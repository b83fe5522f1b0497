"""Whether a release may serve: gates, decision, dossier, approvals, and the aliases that move."""
