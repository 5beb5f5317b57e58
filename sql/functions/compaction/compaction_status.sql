-- Is it time to compact, and if not, why not.

create or replace function kata.compaction_status(
  context_id uuid,
  out due boolean, out reason text, out view_tokens bigint, out threshold_tokens bigint, out budget integer, out open_calls integer,
  out in_progress boolean, out failures integer, out next_allowed_at timestamptz, out last_compacted_at timestamptz
) returns setof record
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_context record := kata_data.open_context(context_id);
  v_policy jsonb := kata_data.resolved_policy(context_id);
  v_head kata_data.head;
  v_due record;
begin
  select h.* into strict v_head from kata_data.head h where h.context_id = compaction_status.context_id;
  v_due := kata_data.due_state(v_head, v_policy);
  due := coalesce(v_due.due_at <= kata_data.clock(), false) and not v_due.is_running;
  reason := v_due.reason;
  view_tokens := v_head.view_tokens;
  budget := (v_policy -> 'budget')::integer;
  threshold_tokens := ceil(budget * (v_policy -> 'threshold')::numeric);
  open_calls := (select count(*) from jsonb_object_keys(v_head.open_calls));
  in_progress := v_due.is_running;
  failures := v_due.failures;
  next_allowed_at := v_due.next_allowed_at;
  last_compacted_at := v_due.compacted_at;
  return next;
end
$$;
comment on function kata.compaction_status(uuid) is
'Whether a context is due for compaction.

context_id: the context.

Returns one row: due, reason (why it is or is not, and how near), view_tokens, threshold_tokens (from which on it is due) and budget of the policy, open_calls
(how many tool calls have no result), in_progress, failures (failed or gainless attempts in a row), next_allowed_at (not before then; null: no bar),
last_compacted_at.
Errors: KC001, KC006. Cost: O(log n).';
