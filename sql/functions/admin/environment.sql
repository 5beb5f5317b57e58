-- The environment label, which clients read before a destructive command.
-- plans: lookup

create or replace function kata.environment() returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
begin
  return (select e.label from kata_data.environment e);
end
$$;
comment on function kata.environment() is
'The environment label of this database, for example production; null if it has none. Cost: O(1).';
