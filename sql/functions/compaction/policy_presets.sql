-- Policies to start from.
-- plans: lookup

create or replace function kata.policy_presets() returns table (name text, description text, policy jsonb)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
begin
  return query
  select p.name, p.description, p.policy from kata_data.policy_presets() p order by p.name collate "C";
end
$$;
comment on function kata.policy_presets() is
'The policy presets that create_context knows.

Returns name, description, policy (the fields that differ from the defaults).
Cost: O(1).';
