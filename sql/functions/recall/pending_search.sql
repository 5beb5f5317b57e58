-- The work of an indexer. A list costs O(contexts): it is for a job that asks now and then.
-- plans: recall

create or replace function kata.pending_search(max_rows integer default 100)
returns table (context_id uuid, messages bigint, tenant text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off set jit = off
as $$
declare
  v_tenant text;
begin
  v_tenant := kata_data.current_tenant();
  perform kata_data.check_max_rows(max_rows);
  return query
  select c.context_id, p.messages, c.tenant
  from kata_data.context c
  cross join lateral (
    select h.version
    from kata_data.head h
    where h.context_id = c.context_id
      and not h.closed
    offset 0
  ) h
  cross join lateral (
    select sum(greatest(s.last_version - s.indexed_through, 0))::bigint as messages
    from kata_data.indexed_segments(c.context_id, h.version, kata_data.search_config(c.context_id)) s
  ) p
  where v_tenant in (c.tenant, '*')
    and p.messages >= 64
  order by p.messages desc, c.context_id
  limit max_rows;
end
$$;
comment on function kata.pending_search(integer) is
'Lists the contexts with 64 or more versions that are not indexed yet, the most first.

Under kata.tenant ''*'' those of all tenants. kata.index_search indexes one. Fewer versions are parsed by each search instead.

max_rows: 1 to 1,000.

Returns rows: context_id, messages (versions of its path that are not indexed), tenant.
Errors: KC017. Cost: O(contexts of the tenant).';
