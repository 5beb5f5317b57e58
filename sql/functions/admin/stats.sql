-- Counts for dashboards.
-- plans: lookup

create or replace function kata.stats() returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_tenant text;
begin
  v_tenant := kata_data.current_tenant();
  return (
    select coalesce(jsonb_object_agg(s.tenant, to_jsonb(s) - 'tenant'), '{}')
    from (
      select c.tenant, count(*) as contexts,
        count(*) filter (where c.deleted_at is null and c.archived_at is null) as live,
        count(*) filter (where c.deleted_at is null and c.archived_at is not null) as archived,
        count(*) filter (where c.deleted_at is not null) as deleted,
        count(*) filter (where c.purged_at is not null) as purged,
        count(*) filter (where c.parent_id is not null) as forks,
        sum(h.version - coalesce(c.fork_version, 0)) as entries,
        max(greatest(c.updated_at, h.last_at)) as updated_at,
        count(*) filter (where h.due_at <= kata_data.clock()) as due,
        count(*) filter (where h.due_at <= kata_data.clock() and h.summarizes) as due_for_model,
        min(h.due_at) filter (where h.due_at <= kata_data.clock()) as oldest_due_at,
        count(l.context_id) as leases,
        count(g.context_id) as failing,
        count(*) filter (where h.open_calls <> '{}') as with_open_calls
      from (
        select c.context_id, c.tenant, c.parent_id, c.fork_version, c.updated_at, c.archived_at, c.deleted_at, c.purged_at
        from kata_data.context c
        where v_tenant = '*'
        union all
        -- Not one condition for both: a session that serves many tenants keeps a plan that reads all contexts for each. No tenant is "*".
        select c.context_id, c.tenant, c.parent_id, c.fork_version, c.updated_at, c.archived_at, c.deleted_at, c.purged_at
        from kata_data.context c
        where c.tenant = v_tenant
      ) c
      cross join lateral (
        select h.version, h.last_at, h.due_at, h.summarizes, h.open_calls from kata_data.head h where h.context_id = c.context_id offset 0
      ) h
      left join lateral (
        select l.context_id from kata_data.compaction l where l.context_id = c.context_id and l.status = 'running' offset 0
      ) l on true
      left join lateral (
        select g.context_id from kata_data.compaction_guard g where g.context_id = c.context_id and g.failures > 0 offset 0
      ) g on true
      group by c.tenant
    ) s);
end
$$;
comment on function kata.stats() is
'Counts the contexts and entries of the caller''s tenant.

Under kata.tenant ''*'' it counts those of every tenant.
Returns an object with one key per tenant: contexts, live, archived, deleted, purged (of the deleted), forks (contexts each), entries (log entries
that its contexts wrote themselves, purged ones too), updated_at (last append or change), due
(contexts that are due for compaction), due_for_model (of those, the ones whose strategy is summarize), oldest_due_at, leases (compactions
that run), failing (contexts whose last attempt failed or gained nothing), with_open_calls (contexts with a call without a result).
Cost: O(contexts).';
