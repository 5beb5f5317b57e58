-- Recomputes what can be recomputed, and reports where the tables disagree. It trusts only the content of the log: versions, running
-- totals, groups, open calls and digests are derived again, entry by entry, and compared with what is stored. The artifact index must add
-- up.
-- plans: reader

create or replace function kata.verify(inout context_id uuid default null, out version bigint, out problem text, out detail text)
returns setof record
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_tenant text;
  v_context kata_data.context;
begin
  v_tenant := kata_data.current_tenant();
  if context_id is not null and not (
    v_tenant = '*' and exists (select from kata_data.context c where c.context_id = verify.context_id)) then
    perform kata_data.check_access(context_id, 'any');
  end if;
  for v_context in
    select c.*
    from kata_data.context c
    where v_tenant in (c.tenant, '*')
      and (verify.context_id is null or c.context_id = verify.context_id)
    order by c.context_id
  loop
    return query select v_context.context_id, f.version, f.problem, f.detail from kata_data.verify_context(v_context) f;
  end loop;
  if context_id is null and (v_tenant = '*' or pg_has_role(kata_data.calling_role(), 'kata_admin', 'member')) then
    return query select o.segment_id, o.version, o.problem, o.detail from kata_data.verify_orphans() o;
    return query select null::uuid, null::bigint, s.problem, s.detail from kata_data.verify_contract() s;
  end if;
end
$$;
comment on function kata.verify(uuid) is
'Verifies the integrity of the log: one row per problem found, none if it is sound.

context_id: one context, deleted or not; null for all of the caller''s tenant (under kata.tenant ''*'' of all tenants) and, for
  administrators, for rows that belong to no context and the security contract: owners, privileges, triggers, constraints and the like.

Recomputes versions, totals, groups, open calls and digests from the log and compares, and follows every reference to a version.
Returns one row per problem: context_id, version (null where it is not about one), problem (a short name), detail (a sentence).
Errors: KC001. Cost: O(length of the paths verified); reads only, takes no lock.';
