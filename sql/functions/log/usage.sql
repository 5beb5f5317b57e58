-- Counts and tokens, now or as of any version: two look-ups.

create or replace function kata.usage(context_id uuid, at bigint default null)
returns table (version bigint, message_count bigint, raw_tokens bigint, view_tokens bigint)
language plpgsql stable security definer set search_path = '' set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_context record := kata_data.open_context(context_id, at);
  v_view kata_data.view_change := kata_data.no_view();
  v_through bigint;
begin
  if v_context.view_version is not null then
    v_view := kata_data.view_at(context_id, v_context.at);
  end if;
  -- After the last view change there are only messages.
  v_through := greatest(v_view.raw_tokens, (
    select max(m.tokens_through)
    from kata_data.path_messages(usage.context_id, int8multirange(int8range(v_context.at, v_context.at, '[]'))) m));
  return query
  select v_context.at, v_view.message_count + v_context.at - v_view.version, v_through, v_view.view_tokens + v_through - v_view.raw_tokens;
end
$$;
comment on function kata.usage(uuid, bigint) is
'How much a context holds.

context_id: the context. at: as of this version; null for now.

Returns one row: version, message_count and raw_tokens (all messages of the path, inherited, deleted and erased ones included,
replacements not), view_tokens (what a model would see).
Errors: KC001, KC002, KC006. Cost: O(log n).';
