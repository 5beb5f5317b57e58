-- Messages as get_message, messages, state_at and compaction_source list them. A page is found by its versions: page_range is the edge of
-- what is to be listed, as many versions as rows are wanted. Few versions are view changes, which have no row; what is missing comes from
-- the next, larger edge. So the cost follows the rows, wherever the page lies.

create or replace function kata_data.message_rows(
  context_id uuid,
  view_version bigint,
  at bigint,
  visibility text,
  max_rows bigint default 9223372036854775807,
  after bigint default null,
  descending boolean default false,
  within int8multirange default null
) returns setof kata_data.message_row
language plpgsql stable rows 100
as $$
declare
  v_is_view boolean := visibility = 'effective';
  v_view kata_data.view;
  v_pinned bigint[];
  v_elisions bigint[] := '{}'::bigint[];
  v_amendments bigint[] := '{}'::bigint[];
  v_visible int8multirange;
  v_coverings kata_data.view;
  v_messages int8multirange;
  v_scope int8multirange;
  v_page int8multirange;
  v_summaries kata_data.placed_summary[];
  v_reach bigint := max_rows;
  v_left bigint := max_rows;
  v_rows bigint;
begin
  v_view := kata_data.view_of(context_id, at, view_version);
  v_pinned := kata_data.pinned_groups_at(context_id, v_view, at);
  v_messages := kata_data.listed_messages(v_view, at, visibility, within);
  v_scope := v_messages;
  if v_is_view then
    v_elisions := v_view.elisions;
    v_amendments := v_view.amendments;
    v_scope := v_scope + kata_data.summary_places(v_view, within);
  else
    v_visible := kata_data.visible_at(v_view, at);
    v_coverings := v_view;
  end if;
  if after is not null then
    v_scope := v_scope * case
      when descending then int8multirange(int8range(null, after))
      else int8multirange(int8range(least(after, at) + 1, null))
    end;
  end if;
  if v_view.version > 0 then
    -- A few more than rows where versions without one are to be expected.
    v_reach := least(max_rows, 1000000000) + 8;
  end if;

  while v_left > 0 and not isempty(v_scope) loop
    v_page := kata_data.page_range(v_scope, v_reach, descending);
    if v_view.version > 0 and visibility <> 'raw' then
      v_summaries := kata_data.page_summaries(context_id, v_view, v_is_view, v_page, within);
    end if;
    return query
    select r.*
    from kata_data.page_rows(
      message_rows.context_id, v_page * v_messages, v_summaries, v_pinned, v_elisions, v_amendments, v_visible,
      v_coverings.replacements, v_coverings.covers) r
    order by case when descending then -1 else 1 end * case when v_is_view then r."position" else r.version end
    limit v_left;
    get diagnostics v_rows = row_count;
    v_left := v_left - v_rows;
    v_reach := least(v_reach, 100000) * 4;
    v_scope := v_scope - v_page;
  end loop;
end
$$;
comment on function kata_data.message_rows(uuid, bigint, bigint, text, bigint, bigint, boolean, int8multirange) is
'Lists at most max_rows messages of a context as of a version.

view_version: as view_of takes it. visibility: effective (the view, by position), raw (all but what is deleted or rewound, by version), all
(summaries, too, by version). after: the last position or version of the page before. within: only messages and summaries of these versions.
Cost: O(log n + rows + fork depth + pieces of the view).';

create or replace function kata_data.listed_messages(view kata_data.view, at bigint, visibility text, within int8multirange)
returns int8multirange
language plpgsql immutable
as $$
begin
  return case visibility
    when 'effective' then kata_data.visible_at(view, at)
    when 'raw' then int8multirange(int8range(1, at + 1)) - kata_data.hidden(view)
    else int8multirange(int8range(1, at + 1))
  end * coalesce(within, int8multirange(int8range(null, null)));
end
$$;
comment on function kata_data.listed_messages(kata_data.view, bigint, text, int8multirange) is
'The versions among which the messages of a list are. visibility, within: as message_rows takes them.';

create or replace function kata_data.summary_places(view kata_data.view, within int8multirange) returns int8multirange
language plpgsql immutable
as $$
begin
  if view.replacements = '{}' then
    return '{}'::int8multirange;
  end if;
  return coalesce((
    select range_agg(int8range(p.place, p.place + 1))
    from (
      select coalesce(lower(r.covers), r.version) as place
      from unnest(view.replacements, view.covers) r(version, covers)
      where (within @> r.version) is not false
    ) p), '{}');
end
$$;
comment on function kata_data.summary_places(kata_data.view, int8multirange) is
'Where the summaries of a view read: each at the lowest version that it covers.

These versions are neither visible nor shared, so no two rows of a view have one position. within: only summaries of these versions; null
for all.';

create or replace function kata_data.page_summaries(
  context_id uuid, view kata_data.view, is_view boolean, page int8multirange, within int8multirange
) returns kata_data.placed_summary[]
language plpgsql stable
as $$
begin
  if is_view then
    return (
      select array_agg(row(kata_data.amended_summary(y, view.amendments), p.place, null)::kata_data.placed_summary)
      from (
        select r.version, coalesce(lower(r.covers), r.version) as place
        from unnest(view.replacements, view.covers) r(version, covers)
        where (within @> r.version) is not false
      ) p
      cross join lateral kata_data.summary_of(page_summaries.context_id, p.version) y
      where page @> p.place);
  end if;
  return (
    select array_agg(row(y, coalesce(lower(r.covers), r.version, lower(y.covered)), null)::kata_data.placed_summary)
    from kata_data.path_summaries(page_summaries.context_id, page) y
    left join unnest(view.replacements, view.covers) r(version, covers) on r.version = y.version);
end
$$;
comment on function kata_data.page_summaries(uuid, kata_data.view, boolean, int8multirange, int8multirange) is
'The summaries of a page with their positions, null for none.

is_view: those that read in the page; else those that took a version in it.';

create or replace function kata_data.page_rows(
  context_id uuid, versions int8multirange, summaries kata_data.placed_summary[], pinned_groups bigint[], elisions bigint[],
  amendments bigint[], visible int8multirange, replacements bigint[], covers int8multirange[]
) returns setof kata_data.message_row
language sql stable rows 100
as $$
  select r.version, r."position", r.role, r.content, r.token_count, r.token_source, r.tool_call_id, r.tool_name, r.tool_calls, r.model,
    r.metadata, r.pinned, r.kind,
    case when replacements <> '{}' then (
      select c.version from unnest(replacements, covers) c(version, covers) where c.covers @> r.version) end,
    r.group_version, r.segment_id, r.created_at, r.name, r.parts, r.provider, coalesce(r.in_view, true), r.external_id, r.occurred_at
  from (
    select m.version, m.version as "position", m.role,
      case
        when (m.stub).content is not null then (m.stub).content
        when (m.amendment).change_id is not null then (m.amendment).content
        else m.content
      end as content,
      coalesce((m.stub).token_count, (m.amendment).token_count, m.token_count) as token_count,
      case
        when (m.stub).change_id is not null then 'estimate'
        else coalesce((m.amendment).token_source, m.token_source)
      end as token_source,
      m.tool_call_id, m.tool_name,
      case when (m.amendment).change_id is null then m.tool_calls else (m.amendment).tool_calls end as tool_calls, m.model,
      case when (m.amendment).change_id is null then m.metadata else (m.amendment).metadata end as metadata,
      m.group_version = any (pinned_groups) as pinned,
      case
        when (m.stub).change_id is not null then 'stub'
        when (m.amendment).change_id is not null then 'amended'
        else 'message'
      end as kind,
      m.group_version, m.segment_id, m.created_at,
      case when (m.amendment).change_id is null then m.name else (m.amendment).name end as name,
      case
        when (m.stub).change_id is not null then null
        when (m.amendment).change_id is not null then (m.amendment).parts
        else m.parts
      end as parts,
      case when (m.amendment).change_id is null then m.provider else (m.amendment).provider end as provider,
      visible @> m.version as in_view, m.external_id, m.occurred_at
    from (
      select m.*,
        case when elisions <> '{}' then (
          select s from kata_data.stub_of(m.segment_id, m.group_version, m.version, elisions, amendments) s) end as stub,
        case when amendments <> '{}' then (
          select a from kata_data.amendment_of(m.segment_id, m.group_version, m.version, amendments) a) end as amendment
      from kata_data.path_messages(page_rows.context_id, versions) m
      offset 0
    ) m
    union all
    select (y.summary).version, y.place, (y.summary).role, (y.summary).content, (y.summary).token_count, (y.summary).token_source, null, null, null,
      null, (y.summary).metadata, false, 'summary', (y.summary).version, (y.summary).segment_id, (y.summary).created_at, null, null, null,
      (y.summary).version = any (replacements), null, null
    from unnest(summaries) y
  ) r
$$;
comment on function kata_data.page_rows(
  uuid, int8multirange, kata_data.placed_summary[], bigint[], bigint[], bigint[], int8multirange, bigint[], int8multirange[]) is
'The messages at some versions and some summaries as rows, in no order.

pinned_groups, elisions, amendments: in force. visible, replacements, covers: of the view, to find what is in it, and the summary that covers a message;
null where all rows are in the view.';
