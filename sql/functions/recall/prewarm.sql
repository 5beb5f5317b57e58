-- Reads what a first call needs, through the indexes by which the call will, so that it is in memory. A restart and a long pause leave it cold.
-- plans: recall

create or replace function kata.prewarm(context_id uuid default null)
returns table (relation text, bytes bigint)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off set jit = off
as $$
declare
  v_tenant text;
  v_contexts uuid[];
begin
  if context_id is not null then
    perform kata_data.open_context(context_id);
    v_contexts := array[context_id];
  else
    v_tenant := kata_data.current_tenant();
    -- Two statements, as in list_contexts: each reads its hundred rows from one index.
    if v_tenant = '*' then
      v_contexts := array(
        select c.context_id from kata_data.context c
        where c.deleted_at is null
        order by c.context_id desc limit 100);
    else
      v_contexts := array(
        select c.context_id from kata_data.context c
        where c.tenant = v_tenant and c.deleted_at is null
        order by c.context_id desc limit 100);
    end if;
  end if;
  return query
  select w.relation, sum(w.bytes)::bigint
  from unnest(v_contexts) c(context_id)
  cross join lateral kata_data.warmed_rows(c.context_id) w
  group by w.relation
  order by w.relation;
end
$$;
comment on function kata.prewarm(uuid) is
'Reads the rows into memory that the first window and the first search of a context need.

For use after a restart or a long pause.

context_id: the context; null for the hundred newest of the tenant.

Its head, newest view change and newest thousand versions, and the index for searches and the embeddings of its path.
Returns rows by relation: relation, bytes (of the rows that were read).
Errors: KC001, KC006. Cost: O(bytes).';
