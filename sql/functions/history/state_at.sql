-- Lists the same rows as messages, at a version, and all of them unless a page is asked for.
-- plans: reader

create or replace function kata.state_at(
  context_id uuid,
  at bigint default null,
  visibility text default 'effective',
  after bigint default null,
  max_rows integer default null
)
returns table (
  version bigint, "position" bigint, role text, content text, token_count integer, token_source text, tool_call_id text,
  tool_name text, tool_calls jsonb, model text, metadata jsonb, pinned boolean, kind text, compacted_into bigint,
  group_version bigint, segment_id uuid, created_at timestamptz, name text, parts jsonb, provider jsonb,
  in_view boolean, external_id text, occurred_at timestamptz
)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_context record;
begin
  v_context := kata_data.open_context(context_id, at);
  perform kata_data.check_max_rows(coalesce(max_rows, 1000));
  perform kata_data.check_visibility(visibility);
  return query
  select r.*
  from kata_data.message_rows(
    state_at.context_id, v_context.view_version, v_context.at, visibility, coalesce(max_rows, 9223372036854775807), after) r;
end
$$;
comment on function kata.state_at(uuid, bigint, text, bigint, integer) is
'Lists the messages of a context as of a version.

context_id: the context. at: as of this version; null for now.
visibility: effective (the view: what a model would have seen, in reading order), raw (every message except deleted and rewound ones,
  by version), all (everything, by version).
after: the last position (or version, under raw and all) of the page before; null for the first page. max_rows: 1 to 1,000; null for all.

Returns message rows, as get_message.
Errors: KC001, KC002, KC006, KC017. Cost: O(log n + rows + fork depth), whatever `at` is.';
