-- The door for calls that name a compaction: it leads to the context, whose head is locked first, as everywhere.

create or replace function kata_data.compaction_context(compaction_id uuid) returns uuid
language plpgsql stable
as $$
declare
  v_context_id uuid;
  v_closed boolean;
  v_tenant text := kata_data.current_tenant();
begin
  select c.context_id, h.closed into v_context_id, v_closed
  from kata_data.compaction c
  join kata_data.head h on h.context_id = c.context_id
  where c.compaction_id = compaction_context.compaction_id
    and v_tenant in (h.tenant, '*');
  if not found then
    raise exception using
      errcode = 'KC001',
      message = format('compaction %s not found', coalesce(compaction_id::text, 'null')),
      detail = format('Tenant "%s" has no compaction of this id.', v_tenant),
      hint = 'kata.compactions lists those of a context.';
  end if;
  if v_closed then
    perform kata_data.check_state(x.context_id, x.purged_at, x.deleted_at, x.archived_at, 'read') from kata_data.context x where x.context_id = v_context_id;
  end if;
  return v_context_id;
end
$$;
comment on function kata_data.compaction_context(uuid) is 'The context of a compaction of the caller''s tenant; under kata.tenant ''*'' of any. KC001, KC006 deleted.';

create or replace function kata_data.open_compaction(compaction_id uuid, out head kata_data.head, out compaction kata_data.compaction)
language plpgsql volatile
as $$
declare
  v_context_id uuid := kata_data.compaction_context(compaction_id);
  v_head kata_data.head;
  v_compaction kata_data.compaction;
begin
  select h.* into strict v_head from kata_data.head h where h.context_id = v_context_id for no key update;
  if v_head.closed then
    perform kata_data.check_state(x.context_id, x.purged_at, x.deleted_at, x.archived_at, 'write') from kata_data.context x where x.context_id = v_context_id;
  end if;
  select c.* into strict v_compaction
  from kata_data.compaction c
  where c.compaction_id = open_compaction.compaction_id
  for no key update;
  head := v_head;
  compaction := v_compaction;
end
$$;
comment on function kata_data.open_compaction(uuid) is 'Opens a compaction for change: locks the head of its context, then its row. KC001, KC006.';

create or replace function kata_data.refuse_stale(compaction kata_data.compaction, detail text) returns void
language plpgsql immutable
as $$
begin
  raise exception using
    errcode = 'KC011',
    message = format('compaction %s is stale', compaction.compaction_id),
    detail = detail,
    hint = 'Begin another one; its source is the view as it is now.';
end
$$;
comment on function kata_data.refuse_stale(kata_data.compaction, text) is 'Refuses what comes too late for a compaction. KC011.';

create or replace function kata_data.finish_compaction(compaction kata_data.compaction, status text, error text, is_gainless boolean default false)
returns void
language plpgsql volatile
as $$
declare
  v_now timestamptz := kata_data.clock();
  v_head kata_data.head;
begin
  update kata_data.compaction c
  set status = finish_compaction.status,
      error = finish_compaction.error,
      finished_at = v_now,
      summary_version = compaction.summary_version,
      result_tokens = compaction.result_tokens
  where c.compaction_id = compaction.compaction_id;
  if status <> 'aborted' then
    select h.* into strict v_head from kata_data.head h where h.context_id = compaction.context_id;
    insert into kata_data.compaction_guard as g (context_id, failures, attempted_at)
    -- Who takes over does not wait once more.
    values (compaction.context_id, 1, case status when 'expired' then compaction.started_at else v_now end)
    on conflict on constraint compaction_guard_pkey do update
    set failures = g.failures + 1,
        attempted_at = excluded.attempted_at;
    -- What is left is not worth another attempt until the view has grown by the least gain: compaction never makes itself due.
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
'Ends an attempt: committed, aborted, failed (is_gainless: there was nothing to gain) or expired. All but aborted count for the guards. The caller holds the
head''s lock.';
