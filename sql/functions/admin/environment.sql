-- Production or not: what a client asks before it destroys something.

create or replace function kata.environment() returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
begin
  return (select e.label from kata_data.environment e);
end
$$;
comment on function kata.environment() is
'The label of the environment that this database belongs to, production for example; null where it has none. Cost: O(1).';
