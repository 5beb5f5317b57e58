-- Access check of the functions that take a compaction. It finds the context, whose head is locked first, as everywhere: head, then
-- compaction.

create or replace function kata_data.compaction_context(compaction_id uuid) returns uuid
language plpgsql stable
as $$
declare
  v_context_id uuid;
  v_closed boolean;
  v_tenant text;
begin
  v_tenant := kata_data.current_tenant();
  select c.context_id, h.closed into v_context_id, v_closed
  from kata_data.compaction c
  join kata_data.head h on h.context_id = c.context_id
  where c.compaction_id = compaction_context.compaction_id
    and v_tenant in (h.tenant, '*');
  if not found then
    perform kata_data.check_bucket(kata_data.bucket(compaction_id));
    raise exception using
      errcode = 'KC001',
      message = format('compaction %s not found', coalesce(compaction_id::text, 'null')),
      detail = format('Tenant "%s" has no compaction of this id.', v_tenant),
      hint = 'kata.compactions lists those of a context.';
  end if;
  if v_closed then
    perform kata_data.check_state(x.context_id, x.purged_at, x.deleted_at, x.archived_at, 'read')
    from kata_data.context x
    where x.context_id = v_context_id;
  end if;
  return v_context_id;
end
$$;
comment on function kata_data.compaction_context(uuid) is
'The context of a compaction of the caller''s tenant; under kata.tenant ''*'' of any tenant. KC001, KC006 deleted, KC024.';

create or replace function kata_data.open_compaction(compaction_id uuid, out head kata_data.head, out compaction kata_data.compaction)
language plpgsql volatile
as $$
declare
  v_context_id uuid;
  v_head kata_data.head;
  v_compaction kata_data.compaction;
begin
  v_context_id := kata_data.compaction_context(compaction_id);
  select h.* into strict v_head from kata_data.head h where h.context_id = v_context_id for no key update;
  if v_head.closed then
    perform kata_data.check_state(x.context_id, x.purged_at, x.deleted_at, x.archived_at, 'write')
    from kata_data.context x
    where x.context_id = v_context_id;
  end if;
  select c.* into strict v_compaction
  from kata_data.compaction c
  where c.compaction_id = open_compaction.compaction_id
  for no key update;
  head := v_head;
  compaction := v_compaction;
end
$$;
comment on function kata_data.open_compaction(uuid) is
'Opens a compaction for change: locks the head of its context, then its row. KC001, KC006.';
