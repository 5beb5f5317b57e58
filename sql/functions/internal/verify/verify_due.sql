-- Verification: heads are due exactly where their policies say so.

create or replace function kata_data.verify_due(context_id uuid)
returns table (version bigint, problem text, detail text)
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
  -- When it is due changes with the time; that it is, and from where on, does not.
  if (v_head.due_tokens, v_head.due_messages, v_head.due_at is null) is distinct from (v_due.due_tokens, v_due.due_messages, v_due.due_at is null) then
    return query select null::bigint, 'due', format('Stored: from %s tokens, %s messages, at %s; recomputed: %s, %s, %s.',
      coalesce(v_head.due_tokens::text, 'no'), coalesce(v_head.due_messages::text, 'no'), coalesce(v_head.due_at::text, 'no time'),
      coalesce(v_due.due_tokens::text, 'no'), coalesce(v_due.due_messages::text, 'no'), coalesce(v_due.due_at::text, 'no time'));
  end if;
end
$$;
comment on function kata_data.verify_due(uuid) is 'Where the head of a context does not say rightly when compaction is due.';
