-- The release of Kata Context in this database; a test keeps it equal to that of the Python package.

create or replace function kata.version() returns text
language sql immutable parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
  select '0.1.0.dev0'
$$;
comment on function kata.version() is 'The version of Kata Context in this database.';
