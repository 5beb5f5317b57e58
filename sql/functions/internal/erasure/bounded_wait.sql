-- A removal waits a bounded time for locks, and says which sessions hold them. A session that has set lock_timeout keeps its own bound.

create or replace function kata_data.bound_wait() returns text
language plpgsql volatile
as $$
declare
  v_own text := current_setting('lock_timeout');
begin
  if v_own = '0' then
    perform set_config('lock_timeout', '10s', true);
  end if;
  return v_own;
end
$$;
comment on function kata_data.bound_wait() is
'Bounds waits for locks by 10 seconds in the transaction, unless the session bounds them itself. Returns the setting before, to be restored.';

create or replace function kata_data.waited() returns text
language plpgsql stable
as $$
begin
  -- A handler sees the setting of the session: what bound_wait set ended with the failed subtransaction.
  return coalesce(nullif(current_setting('lock_timeout'), '0'), '10s');
end
$$;
comment on function kata_data.waited() is 'How long a failed wait under bound_wait was, for the handler of its error.';

create or replace function kata_data.refuse_busy(contexts uuid[], version bigint default null, is_deadlock boolean default false) returns void
language plpgsql volatile
as $$
declare
  v_pids integer[];
  v_are_sure boolean;
begin
  select l.pids, l.are_sure into strict v_pids, v_are_sure from kata_data.lock_holders(contexts, version) l;
  if v_pids = '{}' then
    v_pids := kata_data.remover_pids();
  end if;
  raise exception using
    errcode = 'KC025',
    message = 'another session holds what is to be removed',
    detail = format(
      'It %s %s. %s.', case when v_are_sure then 'is' else 'may be' end,
      coalesce(kata_data.named_sessions(v_pids), 'one that has ended since'),
      case when is_deadlock then 'Each waited for the other' else 'The wait was ' || kata_data.waited() end),
    hint = 'Try again when its transaction has ended, end it with pg_terminate_backend, or set lock_timeout to wait longer.';
end
$$;
comment on function kata_data.refuse_busy(uuid[], bigint, boolean) is
'Refuses a removal that waited too long, or in a deadlock, and names the sessions that hold locks on the families of the contexts. KC025.';

create or replace function kata_data.named_sessions(pids integer[]) returns text
language plpgsql volatile
as $$
begin
  return (
    select string_agg(
      format('process %s (%s)', s.pid, coalesce(nullif(s.application_name, ''), s.usename, 'an unknown role')), ', ' order by s.pid)
    from pg_catalog.pg_stat_activity s
    where s.pid = any (pids));
end
$$;
comment on function kata_data.named_sessions(integer[]) is 'Processes with their application_name, or else their role; null for none.';

create or replace function kata_data.lock_holders(
  contexts uuid[],
  version bigint,
  out pids integer[],
  out are_sure boolean
)
language plpgsql volatile
as $$
declare
  v_families uuid[];
  v_lockers xid[];
  v_members xid[] := '{}'::xid[];
  v_locker xid;
begin
  v_families := kata_data.families_of(contexts);
  v_lockers := array(
    select distinct l.xmax
    from (
      select f.family_id as context_id
      from unnest(v_families) f(family_id)
      union all
      select c.context_id
      from kata_data.context c
      where c.family_id = any (v_families)
        and c.parent_id is not null
    ) c
    cross join lateral (
      select l.xmax from kata_data.lineage l where l.context_id = c.context_id
      union all
      select m.xmax from kata_data.search_mark m where m.segment_id = c.context_id
      union all
      select h.xmax from kata_data.head h where h.context_id = c.context_id
      union all
      select n.xmax from kata_data.compaction n where n.context_id = c.context_id and n.status = 'running'
      union all
      select m.xmax from kata_data.message m where m.segment_id = c.context_id and m.version = lock_holders.version
    ) l);
  -- Several sessions that share a row are one number, a multixact. Nothing tells it from that of a transaction, so whom it names is not sure.
  foreach v_locker in array v_lockers loop
    begin
      v_members := v_members || array(select m.xid from pg_catalog.pg_get_multixact_members(v_locker) m);
    exception
      when internal_error or invalid_parameter_value then null;
    end;
  end loop;
  select coalesce(array_agg(h.pid), '{}'), coalesce(bool_and(h.is_sure), false)
  into strict pids, are_sure
  from (
    select l.pid, bool_or(l.transactionid = any (v_lockers)) as is_sure
    from pg_catalog.pg_locks l
    where l.locktype = 'transactionid'
      and l.granted
      and l.pid <> pg_backend_pid()
      and l.transactionid = any (v_lockers || v_members)
    group by l.pid
  ) h;
end
$$;
comment on function kata_data.lock_holders(uuid[], bigint) is
'The processes whose open transactions have locked or changed a row that a removal in the families of some contexts locks.

version: of the message that is to be erased, or null. are_sure: false where there is none, or one only shares a number with others.
Cost: O(families).';

create or replace function kata_data.remover_pids() returns integer[]
language plpgsql volatile
as $$
begin
  return array(
    select distinct l.pid
    from pg_catalog.pg_locks l
    where l.database = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
      and l.relation in ('kata_data.lineage'::regclass, 'kata_data.search_mark'::regclass)
      and l.mode = 'RowShareLock'
      and l.granted
      and l.pid <> pg_backend_pid()
    limit 10);
end
$$;
comment on function kata_data.remover_pids() is
'The processes that lock rows of any family. For a lock that a subtransaction took, or on a row that is not committed: Postgres does not say
whose it is.';
