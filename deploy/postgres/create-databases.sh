#!/usr/bin/env bash
# A role and a database for each NAME_DATABASE_PASSWORD in the environment, closed to all the others. What exists is kept,
# and gets the password that is set now.
set -euo pipefail

run() { psql --set ON_ERROR_STOP=1 --no-psqlrc --quiet --dbname postgres "$@"; }

for password_variable in $(compgen -e | grep '_DATABASE_PASSWORD$'); do
    service=${password_variable%_DATABASE_PASSWORD}
    service=${service,,}
    run --set name="$service" --set password="${!password_variable}" << 'SQL'
select format('create role %I', :'name') where not exists (select from pg_roles where rolname = :'name') \gexec
alter role :"name" login password :'password';
select format('create database %I owner %I', :'name', :'name')
    where not exists (select from pg_database where datname = :'name') \gexec
revoke all on database :"name" from public;
SQL
done

# these, too, let everybody in by default
run << 'SQL'
revoke all on database postgres from public;
revoke all on database template1 from public;
SQL
