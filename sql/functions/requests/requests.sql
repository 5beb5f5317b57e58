-- The list of requests: one range of the primary key, from its end.
-- plans: reader

create or replace function kata.requests(context_id uuid, before bigint default null, max_rows integer default 50, showing bigint default null)
returns table (
  request_id bigint, at bigint, created_at timestamptz, format text, model text, budget integer, token_count integer, message_count integer,
  start_version bigint, answer_version bigint, input_tokens integer, cached_tokens integer, written_tokens integer, output_tokens integer,
  duration_ms integer, error text
)
language plpgsql stable rows 50 security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_context record;
begin
  v_context := kata_data.open_context(context_id);
  perform kata_data.check_max_rows(max_rows);
  if showing is not null then
    perform kata_data.check_version(context_id, showing, v_context.version);
    if not exists (select from kata_data.message_of(requests.context_id, showing))
      and not exists (select from kata_data.summary_of(requests.context_id, showing)) then
      return;
    end if;
  end if;
  return query
  select r.request_id, r.at, r.created_at, p.format, p.model, r.budget, r.token_count, r.message_count, r.start_version, r.answer_version,
    r.input_tokens, r.cached_tokens, r.written_tokens, r.output_tokens, r.duration, r.error
  from (
    select r.request_id, r.at, r.created_at, r.profile_id, r.budget, r.token_count, r.message_count, r.start_version, r.answer_version,
      r.input_tokens, r.cached_tokens, r.written_tokens, r.output_tokens, r.duration, r.error
    from kata_data.request r
    where r.context_id = requests.context_id
      and r.request_id < coalesce(requests.before, 9223372036854775807)
      and (showing is null or (r.at >= showing and kata_data.shows(r, showing)))
    order by r.request_id desc
    limit max_rows
  ) r
  left join lateral (
    select p.format, p.model
    from kata_data.request_profile p
    where p.profile_id = r.profile_id
    offset 0
  ) p on true
  order by r.request_id desc;
end
$$;
comment on function kata.requests(uuid, bigint, integer, bigint) is
'Lists the requests of a context, newest first: what was asked, what came, what it cost.

context_id: the context. A fork begins its own list.
before: only requests below this number, to go on from the last one seen; null for the newest.
max_rows: 1 to 1,000 rows.
showing: only requests whose body showed this version, a message or a summary; null for all.

Returns rows: request_id, at (the version as of which it shows the context), created_at, format, model, budget, token_count (as counted then),
message_count, start_version, answer_version (null without an answer), input_tokens, cached_tokens, written_tokens, output_tokens and
duration_ms (as the caller reported them; null if not), error (what came instead of an answer).
Errors: KC001, KC002, KC006, KC017. Cost: O(log n + rows); with showing O(requests) at most.';
