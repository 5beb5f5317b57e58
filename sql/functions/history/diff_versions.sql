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
  v_restubbed int8multirange;
begin
  v_from := (kata_data.open_context(context_id, from_version)).at;
  v_to := (kata_data.open_context(context_id, to_version)).at;
  v_before := kata_data.view_at(context_id, v_from);
  v_after := kata_data.view_at(context_id, v_to);
  v_seen := kata_data.visible_at(v_before, v_from);
  v_sees := kata_data.visible_at(v_after, v_to);
  v_restubbed := kata_data.restubbed(v_before, v_after);
  return query
  select e.change, m.version, m.role, kata_data.shown_kind(s, a),
    kata_data.preview(
      coalesce(s.content, (kata_data.amended(m, a)).content), (kata_data.amended(m, a)).tool_calls, (kata_data.amended(m, a)).parts),
    coalesce(s.token_count, a.token_count, m.token_count)
  from (values
    ('added', v_sees - v_seen, v_after.elisions, v_after.amendments),
    ('removed', v_seen - v_sees, v_before.elisions, v_before.amendments)) e(change, versions, elisions, amendments)
  cross join lateral kata_data.path_messages(diff_versions.context_id, e.versions) m
  left join lateral kata_data.stub_of(m.segment_id, m.group_version, m.version, e.elisions, e.amendments) s on true
  left join lateral kata_data.amendment_of(m.segment_id, m.group_version, m.version, e.amendments) a on true
  union all
  select
    case
      when r.version <> all (e.without) then e.change
      when exists (select from kata_data.amendment_of(y.segment_id, y.version, y.version, e.amendments) a) then 'amended'
      else 'restored'
    end,
    y.version, y.role, 'summary',
    kata_data.preview((kata_data.amended_summary(y, e.amendments)).content, null), (kata_data.amended_summary(y, e.amendments)).token_count
  from (values
    ('added', v_after.replacements, v_before.replacements, v_after.amendments, v_restubbed),
    ('removed', v_before.replacements, v_after.replacements, v_before.amendments, '{}'::int8multirange))
    e(change, with_it, without, amendments, restubbed)
  cross join lateral unnest(e.with_it) r(version)
  cross join lateral kata_data.summary_of(diff_versions.context_id, r.version) y
  where r.version <> all (e.without)
    or e.restubbed @> r.version
  union all
  select w.change, w.version, w.role, w.kind, w.preview, w.token_count
  from kata_data.reworded_messages(diff_versions.context_id, v_restubbed * v_seen * v_sees, v_before, v_after) w
  order by 2, 1;
end
$$;
comment on function kata.diff_versions(uuid, bigint, bigint) is
'The changes from the view of a context at one version to the view at another.

context_id: the context. from_version, to_version: in any order; null for now.

Returns rows by version: change (added, removed, shortened, amended, restored: whole, or in its own
words, again), version, role, kind, preview (100 characters), token_count.
Errors: KC001, KC002, KC006. Cost: O(log n + rows + fork depth).';

create or replace function kata_data.reworded_messages(
  context_id uuid, versions int8multirange, before kata_data.view, after kata_data.view
) returns table (change text, version bigint, role text, kind text, preview text, token_count integer)
language sql stable rows 10
as $$
  select
    case
      when aa.change_id is distinct from ab.change_id then case when aa.change_id is null then 'restored' else 'amended' end
      when coalesce(sa.token_count, aa.token_count, m.token_count) < coalesce(sb.token_count, ab.token_count, m.token_count) then 'shortened'
      else 'restored'
    end,
    m.version, m.role, kata_data.shown_kind(sa, aa),
    kata_data.preview(
      coalesce(sa.content, (kata_data.amended(m, aa)).content), (kata_data.amended(m, aa)).tool_calls, (kata_data.amended(m, aa)).parts),
    coalesce(sa.token_count, aa.token_count, m.token_count)
  from kata_data.path_messages(reworded_messages.context_id, versions) m
  left join lateral kata_data.stub_of(m.segment_id, m.group_version, m.version, before.elisions, before.amendments) sb on true
  left join lateral kata_data.amendment_of(m.segment_id, m.group_version, m.version, before.amendments) ab on true
  left join lateral kata_data.stub_of(m.segment_id, m.group_version, m.version, after.elisions, after.amendments) sa on true
  left join lateral kata_data.amendment_of(m.segment_id, m.group_version, m.version, after.amendments) aa on true
  where (sa.token_count, aa.change_id) is distinct from (sb.token_count, ab.change_id)
$$;
comment on function kata_data.reworded_messages(uuid, int8multirange, kata_data.view, kata_data.view) is
'The differences between two views in how they show messages that both have.';

create or replace function kata_data.shown_kind(stub kata_data.stub, amendment kata_data.amendment) returns text
language sql immutable
as $$
  select case when stub.change_id is not null then 'stub' when amendment.change_id is not null then 'amended' else 'message' end
$$;
comment on function kata_data.shown_kind(kata_data.stub, kata_data.amendment) is
'The kind of a row that shows a message: as a stub, in the words of an amendment, or in its own.';
