-- One message by its version. A version that was returned once resolves permanently, whatever compaction has done since.
-- plans: reader

create or replace function kata.get_message(
  context_id uuid,
  inout version bigint,
  out "position" bigint, out role text, out content text, out token_count integer, out token_source text,
  out tool_call_id text, out tool_name text, out tool_calls jsonb, out model text, out metadata jsonb, out pinned boolean,
  out kind text, out compacted_into bigint, out group_version bigint, out segment_id uuid, out created_at timestamptz,
  out name text, out parts jsonb, out provider jsonb, out in_view boolean, out external_id text, out occurred_at timestamptz
) returns setof record
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_context record;
begin
  v_context := kata_data.open_context(context_id);
  if version between 1 and v_context.at then
    return query
    select r.*
    from kata_data.message_rows(get_message.context_id, v_context.view_version, v_context.at, 'all', 1, get_message.version - 1) r
    where r.version = get_message.version;
  end if;
  if not found then
    raise exception using
      errcode = 'KC002',
      message = format('version %s not found', coalesce(version::text, 'null')),
      detail = format('Context %s has no message of this version.', context_id),
      hint = 'List what there is with kata.messages.';
  end if;
end
$$;
comment on function kata.get_message(uuid, bigint) is
'Returns one message, by its version, whatever compaction has done since.

context_id: the context. version: the version that the message took.

Returns one message row: version, position, role, content, token_count, token_source (exact, given, estimate), tool_call_id,
tool_name, tool_calls, model, metadata, pinned, kind (message, summary, stub), compacted_into (the replacement that covers it, or
null), group_version (the message whose call it answers, else itself), segment_id (the context that wrote it), created_at, name,
parts, provider, in_view (whether a model would see it, in its own words or shortened), external_id, occurred_at.
Errors: KC001, KC002 no message has this version, KC006. Cost: O(log n).';
