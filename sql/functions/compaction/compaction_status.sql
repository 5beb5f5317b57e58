-- Is it time to compact, and if not, why not, and how near is it.
-- plans: reader

create or replace function kata.compaction_status(
  context_id uuid,
  out due boolean, out reason text, out view_tokens bigint, out threshold_tokens bigint, out budget integer, out open_calls integer,
  out in_progress boolean, out failures integer, out next_allowed_at timestamptz, out last_compacted_at timestamptz, out warning boolean
) returns setof record
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_policy jsonb;
  v_head kata_data.head;
  v_due record;
begin
  perform kata_data.open_context(context_id);
  v_policy := kata_data.resolved_policy(context_id);
  select h.* into strict v_head from kata_data.head h where h.context_id = compaction_status.context_id;
  v_due := kata_data.due_state(v_head, v_policy);
  due := v_due.is_due and not v_due.is_running;
  reason := v_due.reason;
  view_tokens := v_head.view_tokens;
  threshold_tokens := kata_data.threshold_tokens(v_policy, kata_data.tools_tokens_at(context_id, v_head.version, v_head.view_version));
  budget := (v_policy -> 'budget')::integer;
  open_calls := (select count(*) from jsonb_object_keys(v_head.open_calls));
  in_progress := v_due.is_running;
  failures := v_due.failures;
  next_allowed_at := v_due.next_allowed_at;
  last_compacted_at := v_due.compacted_at;
  -- Early enough to act: to compact at a moment of one's own, or to ask for a shorter answer.
  warning := coalesce(view_tokens >= 0.8 * threshold_tokens, false);
  return next;
end
$$;
comment on function kata.compaction_status(uuid) is
'Reports whether a context is due for compaction, and how near it is.

context_id: the context.

Returns one row: due, reason (why it is due or not, and how near), view_tokens, threshold_tokens (below this many tokens of the view it
is not due by size: budget · threshold less the tokens of the tools; null where the policy is disabled) and budget of the policy, open_calls (how many tool calls have no result), in_progress,
failures (failed or gainless attempts in a row), next_allowed_at (not before then; null: no bar), last_compacted_at, warning (the view has
reached 80 % of threshold_tokens; it stays true beyond, and is false where the policy is disabled).
Errors: KC001, KC006. Cost: O(log n).';
