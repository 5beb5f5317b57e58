-- The plan of a compaction, fixed before the lease is taken: made without a lock to choose among contexts, and planned again under
-- the lock of the head. Changes nothing.

create or replace function kata_data.plan_compaction(
  head kata_data.head, policy jsonb, strategy text, claimed_by text, lease_seconds integer, force boolean
) returns kata_data.compaction
language plpgsql stable
as $$
declare
  v_view kata_data.view;
  v_compaction kata_data.compaction;
  v_cover record;
begin
  v_view := kata_data.view_at(head.context_id, head.version);
  v_compaction.strategy := coalesce(strategy, policy ->> 'strategy');
  v_cover := kata_data.coverable(head, v_view, policy, v_compaction.strategy);
  v_compaction.compaction_id := kata_data.new_context_id(kata_data.bucket(head.context_id));
  v_compaction.context_id := head.context_id;
  v_compaction.status := 'running';
  v_compaction.policy := policy;
  v_compaction.forced := force;
  v_compaction.base_version := head.version;
  v_compaction.covered := v_cover.covered;
  v_compaction.merged_summaries := v_cover.merged_summaries;
  v_compaction.message_count := v_cover.message_count;
  v_compaction.source_tokens := v_cover.source_tokens;
  v_compaction.claimed_by := coalesce(claimed_by, kata_data.caller());
  v_compaction.started_at := kata_data.clock();
  v_compaction.lease_expires_at := v_compaction.started_at + lease_seconds * interval '1 second';
  return v_compaction;
end
$$;
comment on function kata_data.plan_compaction(kata_data.head, jsonb, text, text, integer, boolean) is
'A compaction of a context as its head is, given its resolved policy, with what it covers fixed; message_count is 0 where nothing may be
covered. Changes nothing, takes no lock. Cost: O(view).';
