-- Archives forks without recent activity. A fork that looks idle is locked, by id ascending as everywhere, and checked again under the
-- lock: an append that commits first keeps it open.
-- plans: lookup

create or replace function kata.archive_inactive(idle interval, dry_run boolean default false)
returns table (context_id uuid, name text, updated_at timestamptz)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_tenant text;
  v_before timestamptz;
begin
  if idle is null or idle < interval '0' then
    raise exception using
      errcode = 'KC017',
      message = 'idle is missing or negative',
      detail = format('It is %s.', coalesce(idle::text, 'null')),
      hint = 'Pass for example interval ''30 days''.';
  end if;
  v_tenant := kata_data.current_tenant();
  -- Older timestamps than these do not fit the type.
  v_before := kata_data.clock() - least(idle, interval '4000 years');
  foreach context_id in array kata_data.open_forks(v_tenant, v_before) loop
    -- Before it locks: a fork that is active is left alone.
    continue when not exists (
      select from kata_data.context_row r where r.context_id = archive_inactive.context_id and r.updated_at < v_before);
    if not dry_run then
      perform from kata_data.head h where h.context_id = archive_inactive.context_id for no key update;
    end if;
    select r.name, r.updated_at into archive_inactive.name, archive_inactive.updated_at
    from kata_data.context_row r
    where r.context_id = archive_inactive.context_id
      and r.archived_at is null
      and r.deleted_at is null
      and r.updated_at < v_before;
    if found then
      if not dry_run then
        perform kata_data.set_state(context_id, archived => true);
      end if;
      return next;
    end if;
  end loop;
end
$$;
comment on function kata.archive_inactive(interval, boolean) is
'Archives forks without recent activity; roots are left alone.

Under kata.tenant ''*'' it looks at the forks of all tenants.

idle: for how long nothing was appended or changed. dry_run: report only.

Returns one row per fork: context_id, name, updated_at (before archiving).
Errors: KC017. Locks: the heads of the forks that it archives, by id ascending. Cost: O(forks of the tenant that are older than idle and not archived).';

create or replace function kata_data.open_forks(tenant text, before timestamptz) returns uuid[]
language plpgsql stable
as $$
begin
  -- Each case reads the forks from one index. A fork that was created later is not idle.
  if tenant = '*' then
    return array(
      select c.context_id from kata_data.context c
      where c.parent_id is not null and c.deleted_at is null and c.archived_at is null and c.created_at < open_forks.before
      order by c.context_id);
  end if;
  return array(
    select f.context_id
    from (
      select c.context_id from kata_data.context c
      where c.tenant = open_forks.tenant and c.parent_id is not null and c.deleted_at is null and c.archived_at is null
        and c.created_at < open_forks.before
      order by c.tenant, c.created_at
    ) f
    order by f.context_id);
end
$$;
comment on function kata_data.open_forks(text, timestamptz) is
'The forks of a tenant, or of all for ''*'', that were created before a time and are neither archived nor deleted, by id.';
