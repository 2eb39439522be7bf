#!/usr/bin/env bash
# Run once by the image, on a new data directory: a role and a database for each NAME_DATABASE_PASSWORD in the
# environment, closed to all the others.
set -euo pipefail

for password_variable in $(compgen -e | grep '_DATABASE_PASSWORD$'); do
    service=${password_variable%_DATABASE_PASSWORD}
    service=${service,,}
    psql --set ON_ERROR_STOP=1 --no-psqlrc --quiet --username "$POSTGRES_USER" --dbname postgres \
        --set name="$service" --set password="${!password_variable}" << 'SQL'
create role :"name" login password :'password';
create database :"name" owner :"name";
revoke all on database :"name" from public;
SQL
done

# these, too, let everybody in by default
psql --set ON_ERROR_STOP=1 --no-psqlrc --quiet --username "$POSTGRES_USER" --dbname postgres << 'SQL'
revoke all on database postgres from public;
revoke all on database template1 from public;
SQL
