"""What a release is and whether it may serve: manifest, gates, decision, dossier."""
