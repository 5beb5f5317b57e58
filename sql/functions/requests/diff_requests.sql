-- Why two bodies differ: their recipes and profiles are compared, and for each difference the change of the context, or of the call, is named
-- that made it. Nothing is rendered.
-- plans: reader

create or replace function kata.diff_requests(context_id uuid, a bigint, b bigint, context_b uuid default null)
returns table (change text, version bigint, role text, cause text, cause_version bigint, preview text, token_count integer)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_a kata_data.request;
  v_b kata_data.request;
begin
  perform kata_data.open_context(context_id);
  if context_b is not null then
    perform kata_data.open_context(context_b);
  end if;
  v_a := kata_data.request_at(context_id, a);
  v_b := kata_data.request_at(coalesce(context_b, context_id), b);
  return query
  select d.change, null::bigint, null::text, d.cause, d.cause_version, left(d.preview, 100), null::integer
  from kata_data.profile_differences(v_a, v_b) d;
  return query
  select d.change, d.version, d.role, d.cause, d.cause_version, d.preview, d.token_count
  from kata_data.row_differences(v_a, v_b) d
  order by d.version, d.change;
end
$$;
comment on function kata.diff_requests(uuid, bigint, bigint, uuid) is
'Compares two recorded requests and names the cause of each difference.

context_id: the context of the first request. a: the first request. b: the second request. context_b: its context, a fork for example;
  null for the same.

Returns rows, first those without a version, then by version: change, version, role, cause, cause_version, preview (100 characters),
token_count (null where there is no version). Changes of what stands around the messages: tools, options, prefix (what else stands before the
messages: format, renderer, model, system). Of a message or summary: added, removed, shortened, restored, amended, moved (the same words at
another place), thinking (its thinking is in one of the two only). cause is the kind of the view change at cause_version (compaction, deletion, elision,
pin, unpin, undo and so on); append (a message after the other request); budget (another budget or step), start (the same budget, and the start
moved to cause_version), recall; erasure (between the two requests); for tools request (they came with the call); else the option or
column of the profile. Of thinking it is prefix or, where the messages before differ, messages, from cause_version on.
Errors: KC001, KC006, KC017 no such request. Cost: O(rows of both × (log n + view changes between them)).';
