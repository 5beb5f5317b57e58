-- The policy in force, defaults filled in.
-- plans: lookup

create or replace function kata.get_policy(context_id uuid) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
begin
  perform kata_data.open_context(context_id);
  return kata_data.resolved_policy(context_id);
end
$$;
comment on function kata.get_policy(uuid) is
'The compaction policy of a context, every field resolved.

context_id: the context.

Returns an object: enabled; budget (tokens) and threshold (a fraction of it, from which on compaction is due); every_messages (due after so
many, or null); preserve_recent_count (newest messages that are never covered) and preserve_roles; strategy (summarize, digest, elide, drop);
min_interval_seconds, debounce_seconds, min_gain_tokens, open_call_grace_seconds, max_failures (limits on when it is due); summary_role;
elide_over_tokens; max_fork_depth; strict; notify; search_config (the text search configuration of kata.search);
format, model and cache (of kata.request; null: none); keep_tokens (that a window keeps where it starts anew, null: half of what fits).
Errors: KC001, KC006. Cost: O(1).';
