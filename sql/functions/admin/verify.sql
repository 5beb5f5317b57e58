-- Recomputes what can be recomputed, and says where the tables disagree. It trusts nothing but the content of the log: versions,
-- running totals, groups, open calls and digests are derived again, entry by entry, and held against what is stored. The artifact
-- index must add up.

create or replace function kata.verify(inout context_id uuid default null, out version bigint, out problem text, out detail text)
returns setof record
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_tenant text := kata_data.current_tenant();
  v_context_id uuid;
  v_is_purged boolean;
begin
  if context_id is not null and not (
    v_tenant = '*' and exists (select from kata_data.context c where c.context_id = verify.context_id)) then
    perform kata_data.check_access(context_id, 'any');
  end if;
  for v_context_id, v_is_purged in
    select c.context_id, c.purged_at is not null
    from kata_data.context c
    where v_tenant in (c.tenant, '*')
      and (verify.context_id is null or c.context_id = verify.context_id)
    order by c.context_id
  loop
    return query select v_context_id, l.version, l.problem, l.detail from kata_data.verify_lineage(v_context_id) l;
    return query select v_context_id, n.version, n.problem, n.detail from kata_data.verify_compactions(v_context_id) n;
    if v_is_purged then
      return query select v_context_id, p.version, p.problem, p.detail from kata_data.verify_purged(v_context_id) p;
    else
      return query select v_context_id, l.version, l.problem, l.detail from kata_data.verify_log(v_context_id) l;
      return query select v_context_id, d.version, d.problem, d.detail from kata_data.verify_due(v_context_id) d;
      return query select v_context_id, k.version, k.problem, k.detail from kata_data.verify_marks(v_context_id) k;
      return query select v_context_id, a.version, a.problem, a.detail from kata_data.verify_artifacts(v_context_id) a;
    end if;
  end loop;
  if context_id is null and (v_tenant = '*' or pg_has_role(kata_data.calling_role(), 'kata_admin', 'member')) then
    return query select o.segment_id, o.version, o.problem, o.detail from kata_data.verify_orphans() o;
    return query select o.segment_id, o.version, o.problem, o.detail from kata_data.verify_artifact_orphans() o;
  end if;
end
$$;
comment on function kata.verify(uuid) is
'Looks for damage: recomputes versions, totals, groups, open calls and digests from the log and compares, and follows what
points at versions. No rows: sound.

context_id: one context, deleted or not; null for all of the caller''s tenant (under kata.tenant ''*'' of all tenants) and, for
  administrators, for rows that belong to no context.

Returns a row a problem: context_id, version (null where it is not about one), problem (a short name), detail (a sentence).
Errors: KC001. Cost: O(length of the paths verified); reads only, takes no lock.';
