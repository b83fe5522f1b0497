#!/bin/sh
# The words of MinIO's client that docker-compose.yml and deploy/object_store/accounts.sh use, spoken to
# object_store.py.
exec python /opt/object_store.py "$@"
