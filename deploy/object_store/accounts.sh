#!/bin/sh
# Makes the bucket and the services' accounts in MinIO, each with the policy of its name. May run again.
#   standard input and MC_HOST_store instead of arguments, because every list of processes shows a command line
set -eu
export MC_HOST_store="http://equipoise:$OBJECT_STORE_PASSWORD@object-store:9000"

account() {  # NAME PASSWORD
  printf '%s\n%s\n' "$1" "$2" | mc admin user add store
  mc admin policy create store "equipoise-$1" "/accounts/$1.json"
  # refused where it is attached already
  mc admin policy attach store "equipoise-$1" --user "$1" || mc admin user info store "$1" | grep -q "equipoise-$1"
}

mc mb --ignore-existing store/equipoise
account mlflow "$MLFLOW_STORE_PASSWORD"
account worker "$WORKER_STORE_PASSWORD"
account releases "$RELEASES_STORE_PASSWORD"
account pages "$PAGES_STORE_PASSWORD"
