-- Compares the view of a context at two versions.
-- plans: reader

create or replace function kata.diff_versions(context_id uuid, from_version bigint, to_version bigint)
returns table (change text, version bigint, role text, kind text, preview text, token_count integer)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_from bigint;
  v_to bigint;
  v_before kata_data.view;
  v_after kata_data.view;
  v_seen int8multirange;
  v_sees int8multirange;
begin
  v_from := (kata_data.open_context(context_id, from_version)).at;
  v_to := (kata_data.open_context(context_id, to_version)).at;
  v_before := kata_data.view_at(context_id, v_from);
  v_after := kata_data.view_at(context_id, v_to);
  v_seen := kata_data.visible_at(v_before, v_from);
  v_sees := kata_data.visible_at(v_after, v_to);
  return query
  select e.change, m.version, m.role, case when s.token_count is null then 'message' else 'stub' end,
    kata_data.preview(coalesce(s.content, m.content), m.tool_calls, m.parts), coalesce(s.token_count, m.token_count)
  from (values ('added', v_sees - v_seen, v_after.elisions), ('removed', v_seen - v_sees, v_before.elisions)) e(change, versions, elisions)
  cross join lateral kata_data.path_messages(diff_versions.context_id, e.versions) m
  left join lateral kata_data.stub_of(m.segment_id, m.group_version, m.version, e.elisions) s on true
  union all
  select e.change, y.version, y.role, 'summary', kata_data.preview(y.content, null), y.token_count
  from (values
    ('added', v_after.replacements, v_before.replacements), ('removed', v_before.replacements, v_after.replacements)) e(change, with_it, without)
  cross join lateral unnest(e.with_it) r(version)
  cross join lateral kata_data.summary_of(diff_versions.context_id, r.version) y
  where r.version <> all (e.without)
  union all
  select case when coalesce(a.token_count, m.token_count) < coalesce(b.token_count, m.token_count) then 'shortened' else 'restored' end,
    m.version, m.role, case when a.token_count is null then 'message' else 'stub' end,
    kata_data.preview(coalesce(a.content, m.content), m.tool_calls, m.parts), coalesce(a.token_count, m.token_count)
  from kata_data.path_messages(diff_versions.context_id, kata_data.restubbed(v_before, v_after) * v_seen * v_sees) m
  left join lateral kata_data.stub_of(m.segment_id, m.group_version, m.version, v_before.elisions) b on true
  left join lateral kata_data.stub_of(m.segment_id, m.group_version, m.version, v_after.elisions) a on true
  where a.token_count is distinct from b.token_count
  order by 2, 1;
end
$$;
comment on function kata.diff_versions(uuid, bigint, bigint) is
'The changes from the view of a context at one version to the view at another.

context_id: the context. from_version, to_version: in any order; null for now.

Returns rows by version: change (added, removed, shortened, restored), version, role, kind, preview (100 characters), token_count.
Errors: KC001, KC002, KC006. Cost: O(log n + rows + fork depth).';
