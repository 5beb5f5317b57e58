-- The door: every API function that takes a context comes through here, the one place that checks tenant, existence and
-- deletion. Readers open a context; writers lock it, too: the lock is the head row, taken before anything is decided.

create or replace function kata_data.open_context(
  context_id uuid,
  inout at bigint default null,
  access text default 'read',
  out tokenizer text,
  out version bigint,
  out message_count bigint,
  out raw_tokens bigint,
  out preamble_end bigint,
  out view_version bigint
)
language plpgsql stable
as $$
declare
  v_closed boolean;
begin
  select h.tokenizer, h.version, h.message_count, h.raw_tokens, h.preamble_end, h.view_version, h.closed
  into tokenizer, version, message_count, raw_tokens, preamble_end, view_version, v_closed
  from kata_data.head h
  where h.context_id = open_context.context_id
    and h.tenant = kata_data.current_tenant();
  if v_closed is distinct from false then
    perform kata_data.check_access(context_id, access);
    if v_closed is null then
      -- That sees what was created since the statement began, and what this reads with does not.
      raise exception using
        errcode = 'KC001',
        message = format('context %s not found', context_id),
        detail = 'It was created after this statement began.',
        hint = 'Read what a statement has created in the next one.';
    end if;
  end if;
  if at not between 0 and version then
    perform kata_data.check_version(context_id, at, version);
  end if;
  at := coalesce(at, version);
end
$$;
comment on function kata_data.open_context(uuid, bigint, text) is
'Opens a context of the caller''s tenant. at: a version, null for the newest. access: read (refuses deleted ones), write (refuses
archived ones too), restore (refuses purged ones only), any. Takes no lock. KC001, KC002, KC006.';

create or replace function kata_data.lock_context(context_id uuid, access text default 'write') returns kata_data.head
language plpgsql volatile
as $$
declare
  v_head kata_data.head;
begin
  select h.* into v_head
  from kata_data.head h
  where h.context_id = lock_context.context_id
    and h.tenant = kata_data.current_tenant()
  for no key update;
  if v_head.closed is distinct from false then
    perform kata_data.check_access(context_id, access);
  end if;
  return v_head;
end
$$;
comment on function kata_data.lock_context(uuid, text) is
'Opens a context of the caller''s tenant for change: locks its head until the end of the transaction. access: as open_context.
KC001, KC006.';

create or replace function kata_data.share_context(context_id uuid, access text default 'read') returns kata_data.head
language plpgsql volatile
as $$
declare
  v_head kata_data.head;
begin
  select h.* into v_head
  from kata_data.head h
  where h.context_id = share_context.context_id
    and h.tenant = kata_data.current_tenant()
  for key share;
  -- The row may be one from before a deletion that has just been committed: asked again, under the lock.
  perform kata_data.check_access(context_id, access);
  return v_head;
end
$$;
comment on function kata_data.share_context(uuid, text) is
'Opens a context of the caller''s tenant for a copy of its history: shares its head until the end of the transaction, so that a purge
waits, and appends do not. access: as open_context. KC001, KC006.';

create or replace function kata_data.check_version(context_id uuid, version bigint, newest bigint) returns void
language plpgsql immutable
as $$
begin
  if version between 0 and newest then
    return;
  end if;
  raise exception using
    errcode = 'KC002',
    message = format('version %s not found', coalesce(version::text, 'null')),
    detail = format('Context %s has versions 0 to %s.', context_id, newest),
    hint = 'Pass one of these, or null for now.';
end
$$;
comment on function kata_data.check_version(uuid, bigint, bigint) is 'Refuses a version that is not 0 to the newest. KC002.';

create or replace function kata_data.check_access(context_id uuid, access text) returns void
language plpgsql volatile
as $$
declare
  v_tenant text := kata_data.current_tenant();
  v_archived_at timestamptz;
  v_deleted_at timestamptz;
  v_purged_at timestamptz;
begin
  select c.archived_at, c.deleted_at, c.purged_at into v_archived_at, v_deleted_at, v_purged_at
  from kata_data.context c
  where c.context_id = check_access.context_id
    and c.tenant = v_tenant;
  if not found then
    raise exception using
      errcode = 'KC001',
      message = format('context %s not found', coalesce(context_id::text, 'null')),
      detail = format('Tenant "%s" has no context of this id.', v_tenant),
      hint = case v_tenant
        when '*' then 'kata.tenant is ''*'', which only spans lists, claims and purges: set it to the tenant of the context.'
        else 'List what there is with kata.list_contexts.'
      end;
  end if;
  perform kata_data.check_state(context_id, v_purged_at, v_deleted_at, v_archived_at, access);
end
$$;
comment on function kata_data.check_access(uuid, text) is
'Refuses a context that is missing, purged, deleted or archived, as far as the access asks: read, write, restore or any. Volatile, so that
it sees what others committed while its caller waited for the lock. KC001, KC006.';

create or replace function kata_data.check_state(
  context_id uuid, purged_at timestamptz, deleted_at timestamptz, archived_at timestamptz, access text
) returns void
language plpgsql immutable
as $$
begin
  if purged_at is not null and access <> 'any' then
    raise exception using
      errcode = 'KC006',
      message = format('context %s is purged', context_id),
      detail = format('It was purged at %s.', purged_at),
      hint = 'Nothing brings it back; its forks keep what they share with it.';
  end if;
  if deleted_at is not null and access not in ('any', 'restore') then
    raise exception using
      errcode = 'KC006',
      message = format('context %s is deleted', context_id),
      detail = format('It was deleted at %s.', deleted_at),
      hint = 'Bring it back with kata.restore_context.';
  end if;
  if archived_at is not null and access = 'write' then
    raise exception using
      errcode = 'KC006',
      message = format('context %s is archived', context_id),
      detail = format('It was archived at %s; it can be read, not changed.', archived_at),
      hint = 'Open it again with kata.unarchive_context, or fork it.';
  end if;
end
$$;
comment on function kata_data.check_state(uuid, timestamptz, timestamptz, timestamptz, text) is
'Refuses a context that is purged, deleted or archived, as far as the access asks. KC006.';
