#!/usr/bin/env bash
# As in the official image: on an empty data directory make the cluster, POSTGRES_DB and what lies in
# /docker-entrypoint-initdb.d, with a server that listens on its socket only; then become the server.
set -euo pipefail

initialise() {
    local user="${POSTGRES_USER:-postgres}"
    local method="${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}"
    if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "$method" != trust ]; then
        echo "Error: Database is uninitialized and superuser password is not specified. Set POSTGRES_PASSWORD." >&2
        exit 1
    fi
    # shellcheck disable=SC2086 # several options in one variable
    initdb --username="$user" --pwfile=<(printf '%s\n' "${POSTGRES_PASSWORD:-unused}") --locale=C.UTF-8 --encoding=UTF8 \
        ${POSTGRES_INITDB_ARGS:-} --pgdata="$PGDATA"
    printf '\nhost all all all %s\n' "$method" >> "$PGDATA/pg_hba.conf"
    # the wheel's own programs look for the socket in /tmp, the official image's elsewhere
    printf "\nlisten_addresses = '*'\nunix_socket_directories = '/var/run/postgresql,/tmp'\n" >> "$PGDATA/postgresql.conf"

    pg_ctl --pgdata="$PGDATA" --wait --options="-c listen_addresses='' -p 5432" start
    export PGHOST=/var/run/postgresql POSTGRES_USER="$user" POSTGRES_DB="${POSTGRES_DB:-$user}"
    if [ "$POSTGRES_DB" != postgres ]; then
        psql --set ON_ERROR_STOP=1 --no-psqlrc --username "$user" --dbname postgres --set name="$POSTGRES_DB" \
            <<< 'create database :"name";'
    fi
    local file
    shopt -s nullglob
    for file in /docker-entrypoint-initdb.d/*; do
        echo "$0: running $file"
        case "$file" in
            *.sh) if [ -x "$file" ]; then "$file"; else bash "$file"; fi ;;
            *.sql) psql --set ON_ERROR_STOP=1 --no-psqlrc --username "$user" --dbname "$POSTGRES_DB" --file "$file" ;;
            *) echo "$0: ignoring $file" ;;
        esac
    done
    unset PGHOST
    pg_ctl --pgdata="$PGDATA" --wait --mode=fast stop
    echo "PostgreSQL init process complete; ready for start up."
}

if [ "${1:0:1}" = - ]; then
    set -- postgres "$@"
fi
if [ "$1" = postgres ]; then
    if [ "$(id -u)" = 0 ]; then
        mkdir -p "$PGDATA"
        chown -R postgres "$PGDATA"
        exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
    fi
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA"
    [ -s "$PGDATA/PG_VERSION" ] || initialise
fi
exec "$@"
