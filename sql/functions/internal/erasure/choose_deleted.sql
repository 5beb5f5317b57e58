-- Which contexts one call of purge_deleted purges. A context that another session holds is
-- passed over before it counts, so it leaves room for others.

create or replace function kata_data.choose_deleted(tenant text, before timestamptz, passed uuid[], locks boolean) returns uuid[]
language plpgsql volatile
as $$
declare
  v_contexts refcursor;
  v_context record;
  v_chosen uuid[] := '{}'::uuid[];
  v_entries bigint := 0;
begin
  -- Each case reads an index that holds only what it asks for.
  if tenant = '*' then
    open v_contexts for
      select c.context_id, kata_data.own_entries(c) as entries
      from kata_data.context c
      where c.deleted_at < choose_deleted.before and c.purged_at is null
      order by c.deleted_at;
  else
    open v_contexts for
      select c.context_id, kata_data.own_entries(c) as entries
      from kata_data.context c
      where c.tenant = choose_deleted.tenant and c.deleted_at < choose_deleted.before and c.purged_at is null
      order by c.tenant, c.deleted_at;
  end if;
  loop
    fetch v_contexts into v_context;
    exit when not found or v_entries >= 100000 or cardinality(v_chosen) = 1000;
    continue when v_context.context_id = any (passed);
    if locks then
      continue when not kata_data.try_lock_removal(v_context.context_id);
    end if;
    v_chosen := v_chosen || v_context.context_id;
    v_entries := v_entries + v_context.entries;
  end loop;
  close v_contexts;
  return v_chosen;
end
$$;
comment on function kata_data.choose_deleted(text, timestamptz, uuid[], boolean) is
'The contexts of a tenant, or of all for ''*'', that were deleted before a time, those deleted longest ago first: at most 1,000, and as many as
hold 100,000 entries together, the first however long it is.

passed: contexts to leave out. locks: choose only those that try_lock_removal locks. A context that is left out does not count toward the limits.
Cost: O(contexts chosen and left out).';

create or replace function kata_data.own_entries(context kata_data.context) returns bigint
language plpgsql stable
as $$
begin
  return (select h.version - coalesce(context.fork_version, 0) from kata_data.head h where h.context_id = context.context_id);
end
$$;
comment on function kata_data.own_entries(kata_data.context) is 'How many entries of its log a context has written itself.';
