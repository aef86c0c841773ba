#!/bin/sh
# Starts PostgreSQL as the official image does: POSTGRES_USER, POSTGRES_DB, PGDATA and
# POSTGRES_PASSWORD_FILE, a first start that makes the database, and any numeric user.
set -eu
: "${PGDATA:=/var/lib/postgresql/data}" "${POSTGRES_USER:=postgres}"
: "${POSTGRES_DB:=$POSTGRES_USER}"
export PGDATA

if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  [ -s "${POSTGRES_PASSWORD_FILE:-}" ] || { echo "POSTGRES_PASSWORD_FILE names no password" >&2; exit 1; }
  mkdir -p "$PGDATA"
  chmod 700 "$PGDATA"
  # initdb asks who it is, and nobody in /etc/passwd has the uid of a project's range.
  names=$(mktemp -d)
  echo "postgres:x:$(id -u):$(id -g)::$PGDATA:/bin/false" >"$names/passwd"
  echo "postgres:x:$(id -g):" >"$names/group"
  LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_PASSWD=$names/passwd NSS_WRAPPER_GROUP=$names/group \
    initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --auth-local=trust \
    --auth-host=scram-sha-256 --locale=C --encoding=UTF8
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  # For a moment it answers on its socket only.
  pg_ctl -w start -o "-c listen_addresses=''" >/dev/null
  [ "$POSTGRES_DB" = postgres ] || createdb -U "$POSTGRES_USER" -h /var/run/postgresql "$POSTGRES_DB"
  pg_ctl -w -m fast stop >/dev/null
  echo "the database $POSTGRES_DB is made"
fi
exec "$@" -c listen_addresses='*'
