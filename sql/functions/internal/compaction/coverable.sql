-- Which messages a compaction may cover. Never the preamble, the newest messages, the newest request of the user, preserved roles, pins,
-- groups with an open call, nor a part of any group; and while a call is open within its grace, nothing from its group on.

create or replace function kata_data.coverable(
  head kata_data.head,
  view kata_data.view,
  policy jsonb,
  strategy text,
  out covered int8multirange,
  out merged_summaries bigint[],
  out message_count bigint,
  out source_tokens bigint
)
language plpgsql stable
as $$
declare
  v_context_id uuid := head.context_id;
  v_body int8multirange := kata_data.visible_at(view, head.version) - int8multirange(int8range(1, coalesce(head.preamble_end, head.version) + 1));
  v_limit bigint;
  v_preserved_roles text[] := array(select jsonb_array_elements_text(policy -> 'preserve_roles'));
  v_pinned bigint[];
  v_stubbable bigint := case when strategy = 'elide' then greatest((policy -> 'elide_over_tokens')::bigint, kata_data.stub_tokens()) end;
begin
  v_limit := kata_data.covers_up_to(head, v_body, policy);
  v_pinned := kata_data.pinned_groups_at(v_context_id, view, head.version);
  merged_summaries := '{}';
  select
    coalesce(range_agg(int8range(m.version, m.version + 1)), '{}'), count(*), coalesce(sum(m.shown), 0)
  into covered, message_count, source_tokens
  from (
    select m.version, m.role, m.group_version, coalesce(s.token_count, a.token_count, m.token_count) as shown,
      max(m.version) over g as newest, bool_or(m.role = any (v_preserved_roles)) over g as is_preserved,
      m.group_version = max(m.group_version) filter (where m.role = 'user') over () as is_last_request
    from kata_data.path_messages(v_context_id, v_body) m
    left join lateral kata_data.stub_of(m.segment_id, m.group_version, m.version, view.elisions, view.amendments) s on true
    left join lateral kata_data.amendment_of(m.segment_id, m.group_version, m.version, view.amendments) a on true
    window g as (partition by m.group_version)
  ) m
  where m.newest <= v_limit
    and m.group_version <> all (v_pinned)
    and not head.open_groups ? m.group_version::text
    and not coalesce(m.is_last_request, false)
    and case
      when v_stubbable is null then not m.is_preserved
      else m.role = 'tool' and m.role <> all (v_preserved_roles) and m.shown > v_stubbable
    end;
  if message_count = 0 or strategy = 'elide' then
    return;
  end if;

  if strategy <> 'drop' then
    merged_summaries := array(select r.version from unnest(view.replacements) r(version) order by r.version);
    source_tokens := source_tokens + kata_data.summary_tokens(v_context_id, merged_summaries, view.amendments);
  end if;
  -- A summary that is undone, or that stays, is not covered.
  covered := kata_data.closed(
    v_context_id,
    covered + coalesce((select range_agg(int8range(s.version, s.version + 1)) from unnest(merged_summaries) s(version)), '{}'));
end
$$;
comment on function kata_data.coverable(kata_data.head, kata_data.view, jsonb, text) is
'The messages that a compaction of a context would cover now, given its resolved policy; message_count is 0 where there are none.
Cost: O(view).';

create or replace function kata_data.covers_up_to(head kata_data.head, versions int8multirange, policy jsonb) returns bigint
language plpgsql stable
as $$
declare
  v_recent bigint := (policy -> 'preserve_recent_count')::bigint;
  v_edge int8multirange;
  v_reach bigint := v_recent;
  v_limit bigint := head.version;
  v_open bigint;
begin
  while v_recent > 0 loop
    v_edge := kata_data.page_range(versions, v_reach, true);
    v_limit := (
      select m.version - 1
      from kata_data.path_messages(head.context_id, v_edge) m
      order by m.version desc
      offset v_recent - 1
      limit 1);
    exit when v_limit is not null or v_edge = versions;
    v_reach := v_reach * 4;
  end loop;

  if head.open_groups <> '{}' then
    v_open := (
      select min(m.version)
      from jsonb_object_keys(head.open_groups) g(version)
      cross join lateral kata_data.path_messages(head.context_id, int8multirange(int8range(g.version::bigint, g.version::bigint, '[]'))) m
      where m.created_at + (policy ->> 'open_call_grace_seconds')::integer * interval '1 second' > kata_data.clock());
  end if;
  return least(coalesce(v_limit, 0), v_open - 1);
end
$$;
comment on function kata_data.covers_up_to(kata_data.head, int8multirange, jsonb) is
'The highest version that a compaction may cover: below the newest messages that are preserved, and below the oldest call that is open
within its grace.';
