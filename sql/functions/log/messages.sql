-- Pages through a context. The cursor is the last position seen, so a page is exact under a fixed `at`, whatever is appended.
-- plans: reader

create or replace function kata.messages(
  context_id uuid,
  after bigint default null,
  max_rows integer default 100,
  descending boolean default false,
  visibility text default 'effective',
  at bigint default null
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
  perform kata_data.check_max_rows(max_rows);
  perform kata_data.check_visibility(visibility);
  return query
  select r.*
  from kata_data.message_rows(messages.context_id, v_context.view_version, v_context.at, visibility, max_rows, after, coalesce(descending, false)) r;
end
$$;
comment on function kata.messages(uuid, bigint, integer, boolean, text, bigint) is
'Lists the messages of a context, in pages.

context_id: the context.
after: the last position (or version, under raw and all) of the page before; null for the first page.
max_rows: 1 to 1,000. descending: newest first.
visibility: effective (the view: what a model would see, in reading order), raw (every message except deleted and rewound ones, by
  version), all (every message, by version).
at: as of this version; null for now. Pages under a fixed `at` are exact whatever is appended meanwhile.

Returns message rows, as get_message. Under raw and all, in_view is false of what a deletion, a rewind or a compaction has taken from the model.
Errors: KC001, KC002, KC006, KC017. Cost: O(log n + rows + fork depth).';
