-- Counts and tokens, now or as of any version: two look-ups.
-- plans: reader

create or replace function kata.usage(context_id uuid, at bigint default null)
returns table (version bigint, message_count bigint, raw_tokens bigint, view_tokens bigint, tools_tokens integer)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_at bigint;
begin
  v_at := (kata_data.open_context(context_id, at)).at;
  return query
  select v_at, t.message_count, t.raw_tokens, t.view_tokens, coalesce(t.tools_tokens, 0)
  from kata_data.totals_at(usage.context_id, v_at) t;
end
$$;
comment on function kata.usage(uuid, bigint) is
'Returns the size of a context in messages and tokens.

context_id: the context. at: as of this version; null for now.

Returns one row: version, message_count and raw_tokens (all messages of the path; inherited, deleted and erased ones included,
replacements not), view_tokens (the messages that a model would see), tools_tokens (of the tools that kata.set_tools has set).
Errors: KC001, KC002, KC006. Cost: O(log n).';
