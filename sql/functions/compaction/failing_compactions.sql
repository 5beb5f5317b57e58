-- Background work that fails: the contexts, why, and when each is tried again. For operators.
-- plans: lookup

create or replace function kata.failing_compactions(max_rows integer default 100)
returns table (
  context_id uuid, tenant text, name text, failures integer, error text, attempted_at timestamptz, next_attempt_at timestamptz
)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_tenant text;
begin
  v_tenant := kata_data.current_tenant();
  perform kata_data.check_max_rows(max_rows);
  return query
  select g.context_id, h.tenant, c.name, g.failures, (
    select a.error
    from kata_data.compaction a
    where a.context_id = g.context_id
      and a.status in ('failed', 'expired')
    order by a.started_at desc
    limit 1
  ), g.attempted_at, h.due_at
  from kata_data.compaction_guard g
  cross join lateral (select h.tenant, h.closed, h.due_at from kata_data.head h where h.context_id = g.context_id offset 0) h
  cross join lateral (select c.name from kata_data.context c where c.context_id = g.context_id offset 0) c
  where g.failures > 0
    and not h.closed
    and v_tenant in (h.tenant, '*')
  order by g.failures desc
  limit max_rows;
end
$$;
comment on function kata.failing_compactions(integer) is
'Lists the contexts whose last compaction failed or gained nothing, those with most failures first.

Under kata.tenant ''*'' those of all tenants. kata.compactions lists the attempts of one.

max_rows: 1 to 1,000.

Returns rows: context_id, tenant, name, failures (in a row), error (of the last), attempted_at, next_attempt_at (null: not before the view
has grown, or the policy is changed).
Errors: KC017. Cost: O(failing contexts).';
