-- Answers calls that will get no result, so that providers accept the conversation. Locks the head before it reads which are open.
-- plans: lookup

create or replace function kata.close_calls(
  context_id uuid,
  call_ids text[] default null,
  reason text default 'cancelled'
) returns table (version bigint, token_count integer, created_at timestamptz, is_new boolean)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_open_calls jsonb;
  v_unknown text;
begin
  v_open_calls := (kata_data.lock_context(context_id)).open_calls;
  perform kata_data.check_list('call_ids', cardinality(call_ids));
  v_unknown := (select min(coalesce(i.id, 'null')) from unnest(call_ids) i(id) where not coalesce(v_open_calls ? i.id, false));
  if v_unknown is not null then
    raise exception using
      errcode = 'KC005',
      message = format('call "%s" is not open', left(v_unknown, 100)),
      detail = 'This path never made it, or has answered it already.',
      hint = 'kata.get_context lists the open calls; pass null to close them all.';
  end if;
  return query
  select a.version, a.token_count, a.created_at, a.is_new
  from kata.append(context_id, (
    select coalesce(jsonb_agg(
      jsonb_build_object('role', 'tool', 'tool_call_id', o.key, 'content', coalesce(reason, 'cancelled'))
      order by o.value::bigint, o.key collate "C"), '[]')
    from jsonb_each(v_open_calls) o
    where call_ids is null or o.key = any (call_ids))) a;
end
$$;
comment on function kata.close_calls(uuid, text[], text) is
'Answers open tool calls with one tool message each.

context_id: the context. call_ids: the calls to close, at most 10,000; null: all that are open, at most 1,000. reason: the content of the messages.

Returns one row per message, as append; none where no call is open.
Errors: KC001, KC005 a call is not open, KC006, KC017.
Locks: the head of the context. Cost: O(calls closed × open calls).';
