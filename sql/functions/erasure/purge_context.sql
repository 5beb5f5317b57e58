-- Purging is for ever: what no other context reads goes. What forks read stays, and goes with the last of them.
-- kata: owner kata_eraser
--
-- Holds the artifacts of what it may cut (an advisory lock, which extraction takes before any head), then locks the head (FOR UPDATE), so
-- that a fork being made, which shares it, is seen or finds the context purged; then the row of the family's root, so that of two
-- purges of one family the second sees the first. Only then is looked up who reads what. Appends to other contexts of the family do
-- not wait.

create or replace function kata.purge_context(
  context_id uuid,
  dry_run boolean default false,
  out removed bigint, out kept bigint
) returns setof record
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off rows 1
as $$
declare
  v_tenant text := kata_data.current_tenant();
  v_is_real boolean := dry_run is false;
  v_now timestamptz;
  v_context kata_data.context;
  v_cut record;
begin
  if v_is_real then
    perform kata_data.check_isolation();
    perform kata_data.hold_artifacts(array[context_id]);
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
      values (v_cut.segment_id, purge_context.context_id, v_now, kata_data.calling_role(), v_cut.removed, v_cut.kept);
    end if;
  end loop;

  if v_is_real then
    delete from kata_data.idempotency i where i.scope = 'context:' || purge_context.context_id;
    delete from kata_data.compaction_guard g where g.context_id = purge_context.context_id;
    delete from kata_data.policy_change y where y.context_id = purge_context.context_id;
    update kata_data.context c
    set name = null, metadata = '{}', policy = '{}', purged_at = v_now, updated_at = v_now
    where c.context_id = purge_context.context_id;
    update kata_data.head h
    set is_strict = true, notifies = false, due_at = null, due_tokens = null, due_messages = null, open_calls = '{}', open_groups = '{}', oldest_open_group = null
    where h.context_id = purge_context.context_id;
  end if;
  return next;
end
$$;
comment on function kata.purge_context(uuid, boolean) is
'Removes a deleted context for ever, but for what contexts that are not purged, deleted ones too, read of it by having been forked off: its
log up to the highest such fork stays, the rest goes, with all that was derived from it. Ancestors that were purged before are then
looked at again: they may be needed less. Of the context a blank stays, without name, metadata and policy, so that its forks know
where they came from. kata.purges has the receipt. A context that is purged already stays as it is.

context_id: a deleted context; under kata.tenant ''*'' of any tenant. dry_run: only say what would go.

Returns one row: removed (log entries that go, of purged ancestors too), kept (entries that the context itself wrote and that stay).
Errors: KC001, KC017 not deleted, or the transaction is not at isolation level read committed.
Locks: other purges and erasures out (advisory), then the head of the context (FOR UPDATE); a dry run none.
Cost: O(entries removed + forks of the context and of its purged forks, for every purged ancestor). What was removed leaves the disk
with the next vacuum.';

revoke execute on function kata.purge_context from public;
-- For purge_deleted, and for privileges.sql to grant on.
grant execute on function kata.purge_context to kata_owner with grant option;
