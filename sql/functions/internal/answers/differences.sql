-- The differences of two requests, each with its cause. Entries are compared by segment and version, so requests of two forks share what the
-- forks share.

create or replace function kata_data.profile_differences(a kata_data.request, b kata_data.request)
returns table (change text, cause text, cause_version bigint, preview text)
language plpgsql stable
as $$
declare
  v_a kata_data.request_profile;
  v_b kata_data.request_profile;
begin
  if a.profile_id = b.profile_id then
    return;
  end if;
  v_a := (select p from kata_data.request_profile p where p.profile_id = a.profile_id);
  v_b := (select p from kata_data.request_profile p where p.profile_id = b.profile_id);
  return query
  select d.change, d.cause, null::bigint, kata_data.from_to(d.before, d.after)
  from (values
    ('prefix', 'format', v_a.format, v_b.format), ('prefix', 'renderer', v_a.renderer::text, v_b.renderer::text),
    ('prefix', 'model', v_a.model, v_b.model), ('prefix', 'system', v_a.system, v_b.system),
    ('options', 'thinking', v_a.thinking, v_b.thinking), ('options', 'tokenizer', v_a.tokenizer, v_b.tokenizer),
    ('options', 'cache', v_a.cache, v_b.cache)) d(change, cause, before, after)
  where d.before is distinct from d.after;
  if v_a.tools_digest is distinct from v_b.tools_digest then
    return query
    select 'tools', coalesce(c.kind, 'request'), c.version, kata_data.tool_differences(kata_data.listed_tools(v_a), kata_data.listed_tools(v_b))
    from (values (true)) one
    left join lateral (
      select c.kind, c.version
      from kata_data.changes_between(a, b) c
      where c.tools_digest is distinct from c.tools_before
      order by c.is_b desc, c.version desc
      limit 1
    ) c on true;
  end if;
  return query
  select 'options', o.key, null::bigint, kata_data.from_to(o.before, o.after)
  from kata_data.option_differences(v_a.options, v_b.options) o
  order by o.key collate "C";
end
$$;
comment on function kata_data.profile_differences(kata_data.request, kata_data.request) is
'The differences of two requests outside of their messages: columns of the profile, tools, options.';

create or replace function kata_data.from_to(before text, after text) returns text
language sql immutable
as $$
  select concat(left(coalesce(before, 'none'), 48), ' → ', left(coalesce(after, 'none'), 48))
$$;
comment on function kata_data.from_to(text, text) is 'Two values in a preview.';

create or replace function kata_data.tool_differences(before text, after text) returns text
language sql immutable
as $$
  select coalesce(string_agg(d.mark || d.name, ' ' order by d.name collate "C"), 'in another order')
  from (
    select coalesce(a.name, b.name) as name, case when b.tool is null then '+' when a.tool is null then '-' else '~' end as mark
    from kata_data.named_tools(before) b
    full join kata_data.named_tools(after) a on a.name = b.name
    where a.tool is distinct from b.tool
  ) d
$$;
comment on function kata_data.tool_differences(text, text) is 'The names of tools that one list has more (+), has not (-) or has otherwise (~).';

create or replace function kata_data.named_tools(tools text) returns table (name text, tool text)
language sql immutable
as $$
  select t.name, string_agg(t.tool, ',' order by t.ordinality)
  from (
    select coalesce(e.tool ->> 'name', e.tool #>> '{function,name}', e.tool ->> 'type', 'tool') as name, e.tool::text, e.ordinality
    from json_array_elements(tools::json) with ordinality e(tool, ordinality)
    offset 0
  ) t
  group by t.name
$$;
comment on function kata_data.named_tools(text) is 'The tools of a list by their names, in any provider''s form, as text.';

create or replace function kata_data.option_differences(before text, after text) returns table (key text, before text, after text)
language sql immutable
as $$
  with pair as (
    select coalesce(b.key, a.key) as key, b.value::text as before, a.value::text as after
    from json_each(option_differences.before::json) b
    full join json_each(option_differences.after::json) a on a.key = b.key
  ),
  found as (
    select p.key, p.before, p.after from pair p where p.before is distinct from p.after
  )
  select f.key, f.before, f.after from found f
  union all
  select 'order', option_differences.before, option_differences.after
  where option_differences.before is distinct from option_differences.after
    and not exists (select from found f)
$$;
comment on function kata_data.option_differences(text, text) is
'The options that differ, or order where only their order or the spaces between them do.';

create or replace function kata_data.changes_between(a kata_data.request, b kata_data.request)
returns table (
  is_b boolean, version bigint, kind text, versions int8multirange, low bigint, visible int8multirange, visible_before int8multirange,
  replacements bigint[], replacements_before bigint[], elisions bigint[], elisions_before bigint[], amendments bigint[],
  amendments_before bigint[], tools_digest bytea, tools_before bytea
)
language plpgsql stable
as $$
declare
  v_shared bigint := least(a.at, b.at);
  v_view kata_data.view;
begin
  if a.context_id <> b.context_id then
    v_shared := (kata_data.shared_history(a.context_id, a.at, b.context_id, b.at)).version;
  end if;
  v_view := kata_data.view_at(a.context_id, v_shared);
  return query
  select s.is_b, c.version, c.kind, c.versions, coalesce(lag(c.version) over w, v_view.version), c.visible,
    coalesce(lag(c.visible) over w, v_view.visible), c.replacements, coalesce(lag(c.replacements) over w, v_view.replacements), c.elisions,
    coalesce(lag(c.elisions) over w, v_view.elisions), c.amendments, coalesce(lag(c.amendments) over w, v_view.amendments), c.tools_digest,
    case when lag(c.version) over w is null then v_view.tools_digest else lag(c.tools_digest) over w end
  from (values (false, a.context_id, a.at), (true, b.context_id, b.at)) s(is_b, context_id, at)
  cross join lateral kata_data.path_changes(s.context_id, v_shared + 1, s.at) c
  window w as (partition by s.is_b order by c.version);
end
$$;
comment on function kata_data.changes_between(kata_data.request, kata_data.request) is
'The view changes of two requests after what their paths share, each with the view before it. is_b: on the path of the second. low: the
version of the change before.';

create or replace function kata_data.shown_entries(request kata_data.request)
returns table (
  segment_id uuid, version bigint, role text, kind text, words text, is_recalled boolean, "position" bigint, hides boolean, preview text,
  token_count integer
)
language plpgsql stable rows 100
as $$
declare
  v_view kata_data.view;
begin
  v_view := kata_data.view_at(request.context_id, request.at);
  return query
  select s.segment_id, r.version, r.role, case when r.kind = 'summary' then r.kind else kata_data.shown_kind(t, d) end,
    md5(row(r.content, r.name, r.tool_calls, r.parts, r.provider)::text), r.reason = 'recalled', r."position",
    coalesce(request.hidden_thinking @> r.version, false), kata_data.preview(r.content, r.tool_calls, r.parts),
    coalesce(t.token_count, d.token_count, m.token_count, y.token_count)
  from unnest(kata_data.recipe_rows(request)) r
  cross join lateral kata_data.segments(request.context_id, r.version, r.version) s
  left join lateral (
    select m.token_count, m.group_version
    from kata_data.message m
    where m.segment_id = s.segment_id
      and m.version = r.version
    offset 0
  ) m on true
  left join lateral (
    select y.token_count
    from kata_data.summary y
    where y.segment_id = s.segment_id
      and y.version = r.version
    offset 0
  ) y on true
  left join lateral kata_data.stub_of(s.segment_id, m.group_version, r.version, v_view.elisions, v_view.amendments) t on true
  left join lateral kata_data.amendment_of(s.segment_id, coalesce(m.group_version, r.version), r.version, v_view.amendments) d on true;
end
$$;
comment on function kata_data.shown_entries(kata_data.request) is
'The messages and summaries that a request showed: where they are stored, how and with which words they were shown, whether without thinking.';

create or replace function kata_data.entry_differences(a kata_data.request, b kata_data.request)
returns table (
  change text, segment_id uuid, version bigint, role text, is_summary boolean, is_recalled boolean, preview text, token_count integer
)
language sql stable rows 10
as $$
  select d.change, coalesce(b.segment_id, a.segment_id), coalesce(b.version, a.version), coalesce(b.role, a.role),
    coalesce(b.kind, a.kind) = 'summary', coalesce(a.is_recalled, false) <> coalesce(b.is_recalled, false), coalesce(b.preview, a.preview),
    coalesce(b.token_count, a.token_count)
  from kata_data.shown_entries(entry_differences.a) a
  full join kata_data.shown_entries(entry_differences.b) b on b.segment_id = a.segment_id and b.version = a.version
  cross join lateral (values
    (case
      when a.version is null then 'added'
      when b.version is null then 'removed'
      when a.words = b.words then null
      when b.kind = 'stub' and (a.kind <> 'stub' or length(b.preview) < length(a.preview)) then 'shortened'
      when b.kind = 'amended' then 'amended'
      else 'restored'
    end),
    (case when a."position" <> b."position" or a.is_recalled <> b.is_recalled then 'moved' end),
    (case when a.hides <> b.hides then 'thinking' end)) d(change)
  where d.change is not null
$$;
comment on function kata_data.entry_differences(kata_data.request, kata_data.request) is
'The messages and summaries that two requests show otherwise, one row for each difference. is_recalled: one of the two recalls it.';

create or replace function kata_data.is_viewed(request kata_data.request, view kata_data.view, segment_id uuid, version bigint, is_summary boolean)
returns boolean
language sql stable
as $$
  select case
    when is_summary then version = any (view.replacements)
    else version <= request.at and kata_data.visible_at(view, request.at) @> version
  end
  and exists (select from kata_data.segments(request.context_id, version, version) s where s.segment_id = is_viewed.segment_id)
$$;
comment on function kata_data.is_viewed(kata_data.request, kata_data.view, uuid, bigint, boolean) is
'Whether a message or summary was in the view that a request saw, shown or not.';

create or replace function kata_data.row_differences(a kata_data.request, b kata_data.request)
returns table (change text, version bigint, role text, cause text, cause_version bigint, preview text, token_count integer)
language plpgsql stable rows 10
as $$
declare
  v_view_a kata_data.view;
  v_view_b kata_data.view;
begin
  v_view_a := kata_data.view_at(a.context_id, a.at);
  v_view_b := kata_data.view_at(b.context_id, b.at);
  return query
  with pair as materialized (
    select d.*, kata_data.is_viewed(a, v_view_a, d.segment_id, d.version, d.is_summary) as was_in_view,
      kata_data.is_viewed(b, v_view_b, d.segment_id, d.version, d.is_summary) as is_in_view
    from kata_data.entry_differences(a, b) d
  ),
  later as materialized (
    select c.* from kata_data.changes_between(a, b) c
  ),
  otherwise as (
    select min(p.version) as version from pair p where p.change <> 'thinking'
  )
  select p.change, p.version, p.role,
    case
      when p.change = 'thinking' then case when o.version < p.version then 'messages' else 'prefix' end
      when p.is_recalled then 'recall'
      when c.kind is not null then c.kind
      when p.was_in_view <> p.is_in_view then 'append'
      when (a.budget, a.stable_step) is distinct from (b.budget, b.stable_step) then 'budget'
      else 'start'
    end,
    case
      when p.change = 'thinking' then case when o.version < p.version then o.version end
      when p.is_recalled then null
      when c.kind is not null then c.version
      when p.was_in_view <> p.is_in_view then p.version
      when (a.budget, a.stable_step) is not distinct from (b.budget, b.stable_step) then b.start_version
    end,
    p.preview, p.token_count
  from pair p
  cross join otherwise o
  left join lateral (
    select l.kind, l.version
    from later l
    where case
      when p.change = 'moved' then l.replacements <> l.replacements_before
      when p.change in ('added', 'removed') then p.was_in_view <> p.is_in_view and case
        when p.is_summary then (p.version = any (l.replacements_before)) <> (p.version = any (l.replacements))
        else (p.version > l.low and p.version < l.version or l.visible_before @> p.version) <> (l.visible @> p.version)
      end
      else (l.versions @> p.version or l.kind in ('undo', 'rewind'))
        and (l.elisions, l.amendments) is distinct from (l.elisions_before, l.amendments_before)
    end
    order by l.is_b desc, l.version desc
    limit 1
  ) c on true
  union all
  select 'shortened', e.version, e.role, 'erasure', null, '', e.token_count
  from kata_data.erased_between(a, b) e;
end
$$;
comment on function kata_data.row_differences(kata_data.request, kata_data.request) is
'The differences of two requests in messages and summaries, with their causes.';

create or replace function kata_data.erased_between(a kata_data.request, b kata_data.request)
returns table (version bigint, role text, token_count integer)
language sql stable rows 1
as $$
  select x.version, coalesce(m.role, y.role), coalesce(w.token_count, m.token_count, y.token_count)
  from kata_data.segments(b.context_id, 1, b.at) s
  cross join lateral (
    select e.segment_id, e.version, e.erased_at
    from kata_data.erasure e
    where e.segment_id = s.segment_id
      and e.version between s.first_version and s.last_version
    offset 0
  ) e
  left join kata_data.view_change c on c.segment_id = e.segment_id and c.version = e.version
  left join kata_data.amendment w on w.change_id = c.change_id
  cross join lateral (
    -- The message of an amendment that was erased.
    select coalesce(w.segment_id, e.segment_id) as segment_id, coalesce(w.version, e.version) as version
  ) x
  left join kata_data.message m on m.segment_id = x.segment_id and m.version = x.version
  left join kata_data.summary y on y.segment_id = x.segment_id and y.version = x.version
  where e.erased_at > least(a.created_at, b.created_at)
    and e.erased_at <= greatest(a.created_at, b.created_at)
    and kata_data.shows(a, x.version)
    and kata_data.shows(b, x.version)
    and exists (select from kata_data.segments(a.context_id, e.version, e.version) t where t.segment_id = e.segment_id)
$$;
comment on function kata_data.erased_between(kata_data.request, kata_data.request) is
'The messages and summaries that two requests showed, one of them before an erasure and the other after it. Cost: O(erasures × log n).';
