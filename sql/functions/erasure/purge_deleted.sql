-- Purges deleted contexts, a bounded number per call. Forks go before their parents, so that a family that is purged whole leaves nothing
-- behind.
--
-- Locks: of each context the family, the marks and the head, as everywhere. A context of which another session holds one is passed over, so
-- that one idle transaction does not stop the purge of all others; so is one that was restored before its lock, and one whose purge meets
-- another lock.
-- plans: lookup

create or replace function kata.purge_deleted(older_than interval, dry_run boolean default false)
returns table (context_id uuid, removed bigint, kept bigint)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_tenant text;
  v_before timestamptz;
  v_purged uuid[] := '{}'::uuid[];
  v_passed uuid[] := '{}'::uuid[];
  v_chosen uuid[];
begin
  v_tenant := kata_data.current_tenant();
  if older_than is null or older_than < interval '0' then
    raise exception using
      errcode = 'KC017',
      message = 'older_than must be a duration that is not negative',
      detail = format('It is %s.', coalesce(older_than::text, 'null')),
      hint = 'Pass for example interval ''30 days''.';
  end if;
  -- No timestamp lies much further back.
  v_before := kata_data.clock() - least(older_than, interval '4000 years');
  if dry_run is false then
    perform kata_data.check_isolation();
  end if;
  loop
    v_chosen := kata_data.choose_deleted(v_tenant, v_before, v_passed, dry_run is false);
    for context_id in
      select c.context_id
      from unnest(v_chosen) i(context_id)
      -- By key: with conditions beside the ids a session that planned early reads the index of all deleted ones.
      cross join lateral (
        select c.context_id, c.depth, c.deleted_at, c.purged_at from kata_data.context c where c.context_id = i.context_id offset 0
      ) c
      where c.deleted_at < v_before
        and c.purged_at is null
      order by c.depth desc, c.context_id
    loop
      if dry_run is false then
        begin
          select p.removed, p.kept into strict removed, kept
          from kata.purge_context(purge_deleted.context_id) p;
        exception
          when sqlstate 'KC025' then continue;
        end;
      else
        select sum(p.removed), sum(p.kept) filter (where p.segment_id = purge_deleted.context_id)
        into strict removed, kept
        from kata_data.plan_purge(purge_deleted.context_id, v_purged) p;
      end if;
      v_purged := v_purged || context_id;
      return next;
    end loop;
    -- No row says that none is left, so it goes on while all that it chose was passed over.
    exit when v_purged <> '{}' or v_chosen = '{}';
    v_passed := v_passed || v_chosen;
  end loop;
end
$$;
comment on function kata.purge_deleted(interval, boolean) is
'Purges the contexts that were deleted a while ago, as purge_context does.

older_than: how long ago they were deleted. dry_run: only report which, and what would be removed.

Those deleted longest ago come first, at most 1,000 per call, and as many as hold 100,000
entries together: call again until it returns no row. A context that another session holds is passed over, counts toward neither, and is
left to a later call. Under kata.tenant ''*'' contexts of all tenants are purged.
Returns one row per context, forks before their parents: context_id, removed and kept, as purge_context.
Errors: KC017 older_than is negative, or the transaction is not at isolation level read committed.
Locks: of each context those of purge_context, without waiting for families, search marks and heads; a dry run takes none.
Cost: that of purge_context for each, and O(contexts passed over).';
