-- The work of an indexer. A list costs O(contexts): it is for a job that asks now and then. Two statements, as in list_contexts: the one of a
-- tenant reads its contexts from one index; the one of all takes the tenants in turn, so that none waits behind the many of another. Most
-- contexts are short, and are passed over by their heads.
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
  if v_tenant = '*' then
    return query
    select c.context_id, c.messages, c.tenant
    from (
      select c.context_id, p.messages, c.tenant,
        row_number() over (partition by c.tenant order by p.messages desc, c.context_id) as turn
      from kata_data.context c
      cross join lateral (select from kata_data.head h where h.context_id = c.context_id and h.version >= 64 offset 0) h
      cross join lateral kata_data.versions_to_index(c.context_id) p(messages)
      where c.deleted_at is null
        and p.messages >= 64
    ) c
    order by c.turn, c.messages desc, c.context_id
    limit max_rows;
  else
    return query
    select c.context_id, p.messages, c.tenant
    from kata_data.context c
    cross join lateral (select from kata_data.head h where h.context_id = c.context_id and h.version >= 64 offset 0) h
    cross join lateral kata_data.versions_to_index(c.context_id) p(messages)
    where c.tenant = v_tenant
      and c.deleted_at is null
      and p.messages >= 64
    order by p.messages desc, c.context_id
    limit max_rows;
  end if;
end
$$;
comment on function kata.pending_search(integer) is
'Lists the contexts with 64 or more versions that are not indexed yet, the most first.

Under kata.tenant ''*'' those of all tenants, in turn: of each the first, then of each the second. kata.index_search indexes one. Fewer
versions are parsed by each search instead.

max_rows: 1 to 1,000.

Returns rows: context_id, messages (versions of its path that are not indexed), tenant.
Errors: KC017. Cost: O(contexts of the tenant), of which those with fewer versions take a look-up each.';
