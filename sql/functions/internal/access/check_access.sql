-- The refusals of the access check: a context that is missing, purged, deleted or archived, a version out of range.

create or replace function kata_data.check_version(
  context_id uuid, version bigint, newest bigint, hint text default 'Pass one of these, or null for now.'
) returns void
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
    hint = check_version.hint;
end
$$;
comment on function kata_data.check_version(uuid, bigint, bigint, text) is 'Refuses a version that is not 0 to the newest. KC002.';

create or replace function kata_data.check_access(context_id uuid, access text) returns void
language plpgsql volatile
as $$
declare
  v_tenant text;
  v_archived_at timestamptz;
  v_deleted_at timestamptz;
  v_purged_at timestamptz;
begin
  v_tenant := kata_data.current_tenant();
  select c.archived_at, c.deleted_at, c.purged_at into v_archived_at, v_deleted_at, v_purged_at
  from kata_data.context c
  where c.context_id = check_access.context_id
    and c.tenant = v_tenant;
  if not found then
    perform kata_data.check_bucket(kata_data.bucket(context_id));
    raise exception using
      errcode = 'KC001',
      message = format('context %s not found', coalesce(context_id::text, 'null')),
      detail = format('Tenant "%s" has no context of this id.', v_tenant),
      hint = case v_tenant
        when '*' then 'kata.tenant is ''*'', which covers only lists, claims and purges: set it to the tenant of the context.'
        else 'List what there is with kata.list_contexts.'
      end;
  end if;
  perform kata_data.check_state(context_id, v_purged_at, v_deleted_at, v_archived_at, access);
end
$$;
comment on function kata_data.check_access(uuid, text) is
'Refuses a context that is missing, purged, deleted or archived, as far as the access asks: read, write, restore or any. Volatile, so that
it sees what other transactions committed while its caller waited for the lock. KC001, KC006, KC024.';

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
      hint = 'A purge is permanent; forks keep the messages that they share with it.';
  end if;
  if deleted_at is not null and access not in ('any', 'restore') then
    raise exception using
      errcode = 'KC006',
      message = format('context %s is deleted', context_id),
      detail = format('It was deleted at %s.', deleted_at),
      hint = 'Restore it with kata.restore_context.';
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
