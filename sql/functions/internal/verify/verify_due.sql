-- A head is due exactly where its policy says so.

create or replace function kata_data.verify_due(context_id uuid) returns setof kata_data.finding
language plpgsql stable rows 1
as $$
declare
  v_head kata_data.head;
  v_due record;
begin
  select h.* into v_head from kata_data.head h where h.context_id = verify_due.context_id;
  if not found then
    return;
  end if;
  v_due := kata_data.due_state(v_head, kata_data.resolved_policy(context_id));
  -- The time at which it is due changes as time passes; whether it has one, and the thresholds, do not. An erasure that ends a running
  -- compaction has no lock on the head of a fork: that is looked at when the lease would have run out.
  if v_due.due_at is null and exists (
    select
    from kata_data.compaction c
    where c.context_id = verify_due.context_id
      and c.act_number is not null
      and c.lease_expires_at = v_head.due_at) then
    v_due.due_at := v_head.due_at;
  end if;
  if (v_head.due_tokens, v_head.due_messages, v_head.due_at is null)
    is distinct from (v_due.due_tokens, v_due.due_messages, v_due.due_at is null) then
    return next kata_data.differs(null, 'due',
      concat_ws(', ', 'from ' || v_head.due_tokens || ' tokens', v_head.due_messages || ' messages', 'at ' || v_head.due_at),
      concat_ws(', ', 'from ' || v_due.due_tokens || ' tokens', v_due.due_messages || ' messages', 'at ' || v_due.due_at));
  end if;
end
$$;
comment on function kata_data.verify_due(uuid) is 'Where the head of a context is due and should not be, or the other way round.';
