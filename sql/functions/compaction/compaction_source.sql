-- The messages that a summarizer reads.
-- plans: reader

create or replace function kata.compaction_source(compaction_id uuid)
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
  v_context_id uuid;
  v_compaction kata_data.compaction;
begin
  v_context_id := kata_data.compaction_context(compaction_id);
  select c.* into strict v_compaction from kata_data.compaction c where c.compaction_id = compaction_source.compaction_id;
  return query
  select r.*
  from kata_data.message_rows(
    v_context_id, v_compaction.base_version, v_compaction.base_version, 'effective', within => v_compaction.covered) r;
end
$$;
comment on function kata.compaction_source(uuid) is
'The messages that a compaction covers, as the view showed them when the compaction began.

Shortened messages come in their short form. The summaries that it absorbs are among them; previous_summary of begin_compaction has
their text, too.

compaction_id: as begin_compaction or claim_due_compaction returned it.

Returns message rows, as get_message, in reading order.
Errors: KC001, KC006. Cost: O(view); takes no lock.';
