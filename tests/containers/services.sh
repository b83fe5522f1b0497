#!/bin/sh
# What the images postgres and redis do at their start, each as its own user. With a command: that one, as redis.
# Without: a new cluster from POSTGRES_USER and POSTGRES_PASSWORD where there is none, and PostgreSQL's server.
set -eu
if [ $# -gt 0 ]; then exec setpriv --reuid redis --regid redis --init-groups "$@"; fi
if [ "$(id -u)" = 0 ]; then
  install --directory --owner postgres /var/run/postgresql
  exec setpriv --reuid postgres --regid postgres --init-groups "$0"
fi
PGDATA=/var/lib/postgresql/data/main
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  (umask 077 && printf %s "$POSTGRES_PASSWORD" > /tmp/password)
  initdb --pgdata "$PGDATA" --username "$POSTGRES_USER" --pwfile /tmp/password --auth scram-sha-256 --auth-local trust
  rm /tmp/password
  echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
fi
exec postgres -D "$PGDATA" -c listen_addresses='*'
