-- Messages as get_message, messages and state_at show them. A page is found by its versions: the edge of what is to be listed holds
-- as many versions as rows are wanted, and few of them are view changes, which have no row; what is missing is fetched from the
-- next edge, a larger one. So the cost follows the rows, wherever the page lies.

create or replace function kata_data.message_rows(
  context_id uuid,
  view_version bigint,
  at bigint,
  visibility text,
  max_rows bigint default 9223372036854775807,
  after bigint default null,
  descending boolean default false,
  within int8multirange default null
)
returns table (
  version bigint, "position" bigint, role text, content text, token_count integer, token_source text, tool_call_id text,
  tool_name text, tool_calls jsonb, model text, metadata jsonb, pinned boolean, kind text, compacted_into bigint,
  group_version bigint, segment_id uuid, created_at timestamptz, name text, parts jsonb, provider jsonb
)
language plpgsql stable rows 100
as $$
declare
  v_view kata_data.view := kata_data.view_of(context_id, at, view_version);
  v_pinned bigint[] := kata_data.pinned_groups_at(context_id, v_view, at);
  v_is_view boolean := visibility = 'effective';
  v_elisions bigint[] := case when v_is_view then v_view.elisions else '{}' end;
  v_messages int8multirange := case visibility
    when 'effective' then kata_data.visible_at(v_view, at)
    when 'raw' then int8multirange(int8range(1, at + 1)) - v_view.deleted
    else int8multirange(int8range(1, at + 1))
  end;
  -- Where the summaries read: in the view at the lowest version that they stand for, else at their own.
  v_summaries bigint[] := case visibility when 'effective' then v_view.replacements else '{}' end;
  v_positions bigint[] := kata_data.summary_positions(v_view);
  v_is_covering boolean := not v_is_view and v_view.replacements <> '{}';
  v_scope int8multirange := v_messages;
  v_edge int8multirange;
  v_edge_summaries kata_data.summary[];
  v_edge_positions bigint[];
  v_left bigint := max_rows;
  -- A few more than rows where versions without one are to be expected.
  v_reach bigint := case when v_view.version > 0 then least(max_rows, 1000000000) + 8 else max_rows end;
  v_rows bigint;
begin
  if within is not null then
    v_messages := v_messages * within;
    v_scope := v_messages;
    select
      coalesce(array_agg(p.version order by p.version), '{}'), coalesce(array_agg(p.place order by p.version), '{}')
    into v_summaries, v_positions
    from unnest(v_summaries, v_positions) p(version, place)
    where within @> p.version;
  end if;
  if v_is_view then
    v_scope := v_scope + coalesce((select range_agg(int8range(p.place, p.place + 1)) from unnest(v_positions) p(place)), '{}');
  end if;
  if after is not null then
    v_scope := v_scope * case when descending then int8multirange(int8range(null, after)) else int8multirange(int8range(least(after, at) + 1, null)) end;
  end if;
  while v_left > 0 and not isempty(v_scope) loop
    v_edge := kata_data.page_range(v_scope, v_reach, descending);
    if v_view.version > 0 then
      select array_agg(y.summary), array_agg(y."position") into v_edge_summaries, v_edge_positions
      from (
        select y as summary, p.place as "position"
        from unnest(v_summaries, v_positions) p(version, place)
        cross join lateral kata_data.summary_of(message_rows.context_id, p.version) y
        where v_edge @> p.place
        union all
        select y, coalesce(p.place, lower(y.covered))
        from kata_data.path_summaries(message_rows.context_id, case when visibility = 'all' then v_edge else '{}' end) y
        left join unnest(v_view.replacements, v_positions) p(version, place) on p.version = y.version
      ) y;
    end if;
    return query
    select r.version, r."position", r.role, r.content, r.token_count, r.token_source, r.tool_call_id, r.tool_name, r.tool_calls, r.model,
      r.metadata, r.pinned, r.kind,
      case when v_is_covering then (
        select c.version from unnest(v_view.replacements, v_view.covers) c(version, covers) where c.covers @> r.version) end,
      r.group_version, r.segment_id, r.created_at, r.name, r.parts, r.provider
    from (
      select m.version, m.version as "position", m.role, coalesce((m.stub).content, m.content) as content,
        coalesce((m.stub).token_count, m.token_count) as token_count,
        case when (m.stub).version is null then m.token_source else 'estimate' end as token_source, m.tool_call_id, m.tool_name, m.tool_calls, m.model,
        m.metadata, m.group_version = any (v_pinned) as pinned, case when (m.stub).version is null then 'message' else 'stub' end as kind,
        m.group_version, m.segment_id, m.created_at, m.name, case when (m.stub).version is null then m.parts end as parts, m.provider
      from (
        select m.*, case when v_elisions <> '{}' then (
          select s from kata_data.stub_of(m.segment_id, m.group_version, m.version, v_elisions) s) end as stub
        from kata_data.path_messages(message_rows.context_id, v_edge * v_messages) m
        offset 0
      ) m
      union all
      select y.version, v_edge_positions[y.ordinality], y.role, y.content, y.token_count, y.token_source, null, null, null, null,
        y.metadata, false, 'summary', y.version, y.segment_id, y.created_at, null, null, null
      from unnest(v_edge_summaries) with ordinality y
    ) r
    order by
      case when descending then -1 else 1 end * case when v_is_view then r."position" else r.version end
    limit v_left;
    get diagnostics v_rows = row_count;
    v_left := v_left - v_rows;
    v_reach := least(v_reach, 100000) * 4;
    v_scope := v_scope - v_edge;
  end loop;
end
$$;
comment on function kata_data.message_rows(uuid, bigint, bigint, text, bigint, bigint, boolean, int8multirange) is
'At most max_rows messages as of a version. view_version: as view_of has it. visibility: effective (the view, by position), raw (all but the deleted
ones, by version), all (summaries, too, by version). after: the last position or version that is not wanted any more. within: only messages and summaries of these versions. Cost: O(log n + rows + fork depth +
pieces of the view).';

create or replace function kata_data.summary_positions(view kata_data.view) returns bigint[]
language plpgsql immutable
as $$
begin
  if view.replacements = '{}' then
    return '{}';
  end if;
  return array(
    select coalesce(lower(r.covers), r.version)
    from unnest(view.replacements, view.covers) with ordinality r(version, covers, ordinality)
    order by r.ordinality);
end
$$;
comment on function kata_data.summary_positions(kata_data.view) is
'Where the replacements of a view read: each at the lowest version that it stands for. What they stand for is neither visible nor shared, so no two
rows of a view have one position.';
