-- Permanently removes what a deleted context wrote, except what forks read. The purge of the last such fork removes that, too.
-- kata: owner kata_eraser
--
-- Locks, in this order: the family and the marks of its search index, so that of two purges of one family the second sees the first, and
-- nothing is derived meanwhile from what goes; then the head (FOR UPDATE), so that a fork being made, which shares it, is seen or finds
-- the context purged. Only then it looks up which contexts read which versions. Appends to other contexts of the family do not wait.
-- plans: lookup

create or replace function kata.purge_context(
  context_id uuid,
  dry_run boolean default false,
  out removed bigint, out kept bigint
) returns setof record
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off rows 1
as $$
declare
  v_is_real boolean := dry_run is false;
  v_wait text;
  v_tenant text;
  v_now timestamptz;
  v_context kata_data.context;
  v_cut record;
  v_cuts jsonb := '[]'::jsonb;
begin
  v_tenant := kata_data.current_tenant();
  if v_is_real then
    perform kata_data.check_isolation();
    v_wait := kata_data.bound_wait();
    perform kata_data.lock_removal(array[context_id]);
    perform from kata_data.head h where h.context_id = purge_context.context_id and v_tenant in (h.tenant, '*') for update;
  else
    perform from kata_data.head h where h.context_id = purge_context.context_id and v_tenant in (h.tenant, '*');
  end if;
  if not found then
    perform kata_data.check_access(context_id, 'any');
  end if;
  select c.* into strict v_context from kata_data.context c where c.context_id = purge_context.context_id;
  if v_context.deleted_at is null then
    raise exception using
      errcode = 'KC017',
      message = format('context %s is not deleted', context_id),
      detail = 'Only a deleted context is purged; until then it can be restored.',
      hint = 'Delete it first with kata.delete_context.';
  end if;

  v_now := kata_data.clock();
  v_is_real := v_is_real and v_context.purged_at is null;
  removed := 0;
  for v_cut in
    select p.segment_id, p.reach, p.removed, p.kept from kata_data.plan_purge(purge_context.context_id) p
  loop
    removed := removed + v_cut.removed;
    if v_cut.segment_id = context_id then
      kept := v_cut.kept;
    end if;
    if v_is_real then
      perform kata_data.cut_segment(v_cut.segment_id, v_cut.reach);
    end if;
    if v_is_real and (v_cut.segment_id = context_id or v_cut.removed > 0) then
      insert into kata_data.purge (context_id, cause_id, purged_at, purged_by, removed, kept)
      values (v_cut.segment_id, purge_context.context_id, v_now, kata_data.caller(), v_cut.removed, v_cut.kept);
      v_cuts := v_cuts || jsonb_build_array(jsonb_build_array(v_cut.segment_id, v_cut.removed, v_cut.kept));
    end if;
  end loop;

  if v_is_real then
    perform kata_data.make_tombstone(v_context, v_now, v_cuts);
    perform kata_data.remove_unused_profiles(v_context.tenant), kata_data.remove_unused_tools(v_context.tenant);
  end if;
  perform set_config('lock_timeout', coalesce(v_wait, current_setting('lock_timeout')), true);
  return next;
exception
  when lock_not_available or deadlock_detected then
    perform kata_data.refuse_busy(array[context_id], is_deadlock => sqlstate = '40P01');
end
$$;
comment on function kata.purge_context(uuid, boolean) is
'Permanently removes what a deleted context wrote, except messages that forks still need.

context_id: a deleted context; under kata.tenant ''*'' of any tenant. dry_run: only report what would be removed.

The log stays up to the highest version at which a context that is not purged, deleted or not, forked it; the rest is removed, with
everything derived from it. Of its requests those stay that the digests of kept answers cover, without salt and error. Then ancestors that were purged before are examined again: they may be needed less. A tombstone without name,
metadata and policy, except the search_config that forks search with, remains, so that forks know their origin, and kata.purges lists the
receipt. A purged context stays as it is.

Returns one row: removed (log entries that are removed, of purged ancestors too), kept (entries that the context itself wrote and that stay).
Errors: KC001, KC017 not deleted, or the transaction is not at isolation level read committed,
KC025 another session holds a lock for longer than lock_timeout, or 10 seconds where that is not set, or waits for this one in turn.
Locks: other purges, erasures and new compactions of the family wait; then the head of the context (FOR UPDATE); a dry run takes none.
Cost: O(entries removed + forks of the context and of its purged forks, for every purged ancestor + idempotency keys of the tenant and of
the parent). The bytes leave the tables with the next VACUUM FULL (docs/runbook.md).';

revoke execute on function kata.purge_context from public;
-- For purge_deleted, and for privileges.sql to grant on.
grant execute on function kata.purge_context to kata_owner with grant option;
