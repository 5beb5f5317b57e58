-- From a name to an id, by the index of live names.

create or replace function kata_data.live_context(tenant text, name text) returns uuid
language plpgsql stable
as $$
begin
  return (
    select c.context_id
    from kata_data.context c
    where c.tenant = live_context.tenant
      and c.name = live_context.name
      and c.deleted_at is null
    -- At most one row matches; the order makes the planner choose the index of names.
    order by c.name
    limit 1);
end
$$;
comment on function kata_data.live_context(text, text) is
'The id of a tenant''s live context of this name; null when there is none. Cost: O(log contexts).';
