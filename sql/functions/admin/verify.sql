-- Recomputes what can be recomputed, and reports where the tables disagree. It trusts only the content of the log: versions, running
-- totals, groups, open calls and digests are derived again, entry by entry, and compared with what is stored. The artifact index must add
-- up.
-- plans: reader

create or replace function kata.verify(
  inout context_id uuid default null,
  after uuid default null,
  max_contexts integer default null,
  out version bigint, out problem text, out detail text
) returns setof record
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_tenant text;
  v_context kata_data.context;
  v_last uuid;
  v_contexts bigint := 0;
  v_is_administrator boolean;
begin
  v_tenant := kata_data.current_tenant();
  if max_contexts < 1 then
    raise exception using
      errcode = 'KC017',
      message = 'max_contexts must be positive',
      detail = format('It is %s.', max_contexts),
      hint = 'Pass how many contexts a step verifies, or null for all.';
  end if;
  if context_id is not null and not (
    v_tenant = '*' and exists (select from kata_data.context c where c.context_id = verify.context_id)) then
    perform kata_data.check_access(context_id, 'any');
  end if;
  v_is_administrator := v_tenant = '*' or kata_data.is_administrator();
  -- Once, however many steps there are.
  if context_id is null and after is null and v_is_administrator then
    return query select null::uuid, null::bigint, s.problem, s.detail from kata_data.verify_contract() s;
  end if;
  for v_context in
    select c.*
    from kata_data.contexts_after(v_tenant, verify.after, verify.context_id, verify.max_contexts::bigint + 1) i(context_id)
    cross join lateral (select c.* from kata_data.context c where c.context_id = i.context_id offset 0) c
    order by c.context_id
  loop
    if v_contexts = max_contexts then
      return query select v_last, null::bigint, 'cursor', 'Pass this context_id as after: there are more contexts.';
      return;
    end if;
    begin
      return query select v_context.context_id, f.version, f.problem, f.detail from kata_data.verify_context(v_context) f;
    exception
      -- Damage may be such that a row or a page cannot be read: other contexts are verified all the same.
      when data_exception or internal_error then
        return query select v_context.context_id, null::bigint, 'unreadable', format('Postgres says: %s (%s).', rtrim(left(sqlerrm, 500), '.'), sqlstate);
    end;
    v_contexts := v_contexts + 1;
    v_last := v_context.context_id;
  end loop;
  if context_id is null and v_is_administrator then
    return query select o.segment_id, o.version, o.problem, o.detail from kata_data.verify_orphans() o;
  end if;
end
$$;
comment on function kata.verify(uuid, uuid, integer) is
'Verifies the integrity of the log: one row per problem found, none if it is sound.

context_id: one context, deleted or not; null for all of the caller''s tenant (under kata.tenant ''*'' of all tenants) and, for
  administrators, for rows that belong to no context and the security contract: owners, privileges, triggers, constraints and the like.
after: verify the contexts after this one, by id; null for all. max_contexts: verify at most so many; null for all.

A call is one snapshot. With max_contexts a large store is verified in steps, on several connections if need be: where contexts are left, the
last row has the problem "cursor" and the context_id to pass as after. The step without after looks at the security contract, the last one
at rows that belong to no context.

Recomputes versions, totals, groups, open calls and digests from the log and compares, and follows every reference to a version.
Where damage keeps Postgres from reading a context, its problem is "unreadable", and the others are verified all the same.
Returns one row per problem: context_id, version (null where it is not about one), problem (a short name), detail (a sentence).
Errors: KC001, KC017. Cost: O(length of the paths verified); reads only, takes no lock.';
