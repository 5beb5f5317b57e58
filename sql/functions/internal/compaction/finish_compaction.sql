-- Ends an attempt, and counts it: the row of the compaction, the guard of the context, when the context is due next.

create or replace function kata_data.finish_compaction(compaction kata_data.compaction, status text, error text, is_gainless boolean default false)
returns void
language plpgsql volatile
as $$
declare
  v_now timestamptz := kata_data.clock();
  v_head kata_data.head;
  v_ended kata_data.compaction;
begin
  update kata_data.compaction c
  set status = finish_compaction.status,
      error = finish_compaction.error,
      finished_at = v_now,
      summary_version = compaction.summary_version,
      result_tokens = compaction.result_tokens
  where c.compaction_id = compaction.compaction_id
  returning c.* into strict v_ended;
  perform kata_data.add_act(v_ended.context_id, 'compaction', f.facts, f.content, v_now) from kata_data.facts_of(v_ended) f;
  if status <> 'aborted' then
    select h.* into strict v_head from kata_data.head h where h.context_id = compaction.context_id;
    insert into kata_data.compaction_guard as g (context_id, failures, attempted_at)
    -- A worker that takes over does not wait once more: the attempt counts from its start.
    values (compaction.context_id, 1, case status when 'expired' then compaction.started_at else v_now end)
    on conflict on constraint compaction_guard_pkey do update
    set failures = g.failures + 1,
        attempted_at = excluded.attempted_at;
    -- The next attempt is due once the view has grown by the least gain: compaction never makes itself due.
    update kata_data.compaction_guard g
    set failures = case when is_gainless then g.failures else 0 end,
        compacted_at = case when is_gainless then g.compacted_at else v_now end,
        least_tokens = v_head.view_tokens + greatest((compaction.policy -> 'min_gain_tokens')::bigint, 1),
        message_count = v_head.message_count
    where g.context_id = compaction.context_id
      and (status = 'committed' or is_gainless);
  end if;
  perform kata_data.set_due(compaction.context_id);
end
$$;
comment on function kata_data.finish_compaction(kata_data.compaction, text, text, boolean) is
'Ends an attempt as committed, aborted, failed (is_gainless: there was nothing to gain) or expired. All except aborted count for the
guards. The caller holds the head''s lock.';
