-- The recipe of a request: which versions its body shows. Most bodies show the preamble, everything visible from some version on, and all
-- summaries: then the two versions say it, and the view as of the request, which is an immutable row. Else the versions are stored.

create or replace function kata_data.recipe_of(
  context_id uuid, at bigint, preamble_end bigint, view kata_data.view, rows kata_data.prompt_row[]
) returns kata_data.request
language plpgsql stable
as $$
declare
  v_request kata_data.request;
  v_facts record;
  v_plain int8multirange;
  v_summaries bigint;
begin
  v_request.context_id := context_id;
  v_request.at := at;
  v_request.preamble_end := least(coalesce(preamble_end, at), at);
  -- Few aggregates: each costs as much as a hundred rows.
  select
    min(r.version) filter (where r.reason = 'request') as request,
    min(r.version) filter (where r.is_message and r.version > v_request.preamble_end and r.reason <> 'request') as rest,
    count(*) filter (where r.is_message) as messages, count(*) filter (where r.reason = 'recalled') as recalled,
    bool_or(r.reason = 'covered') as has_covered, coalesce(sum(r.token_count), 0) as tokens,
    max(r.place) filter (where r.reason <> 'recalled') as last_group, max(r.place) as last_place,
    max(array[r.place, kata_data.ends_openly(r.content, r.parts)::integer]) filter (where r.is_message and r.role = 'assistant' and not r.has_calls)
      as last_answer,
    bool_or(r.has_calls and r.reason <> 'recalled') as has_calls
  into v_facts
  from (
    select (u.r).version, (u.r).role, (u.r).kind, (u.r).reason, (u.r).token_count, (u.r).place, (u.r).tool_calls is not null as has_calls,
      (u.r).content, (u.r).parts,
      (u.r).kind not in ('summary', 'recalled') as is_message
    -- In a select list: a function in FROM copies each row, words and all.
    from (select unnest(rows) as r) u
    offset 0
  ) r;
  v_summaries := cardinality(rows) - v_facts.messages - v_facts.recalled;
  if v_facts.messages + v_summaries = 0 then
    perform kata_data.refuse_empty_request(context_id, at);
  end if;
  v_request.start_version := coalesce(least(v_facts.request, v_facts.rest), at + 1);
  if v_facts.request < v_facts.rest - 1 then
    v_request.turn_version := v_facts.request;
    v_request.start_version := v_facts.rest;
  end if;
  -- Before the first change each version is a message.
  if view.version > 0 or v_facts.has_covered or v_facts.messages
    <> v_request.preamble_end + at + 1 - v_request.start_version + (v_request.turn_version is not null)::integer then
    v_plain := kata_data.plainly_shown(view, at, v_request.preamble_end, v_request.start_version, v_request.turn_version);
    if view.version = 0 or v_facts.has_covered or v_summaries <> cardinality(view.replacements)
      or v_facts.messages <> kata_data.message_total(context_id, v_plain) then
      v_request.turn_version := null;
      v_request.start_version := coalesce(kata_data.rest_start(rows), least(v_facts.request, v_facts.rest), at + 1);
      v_request.shown := kata_data.versions_shown(context_id, view, v_plain, v_request.start_version, rows);
    end if;
  end if;
  if v_facts.recalled > 0 then
    select range_agg(int8range(r.version, r.version, '[]')), min(r.place) into v_request.recalled, v_request.recall_place
    from unnest(rows) r
    where r.reason = 'recalled';
  end if;
  v_request.token_count := least(v_facts.tokens, 2147483647);
  v_request.message_count := cardinality(rows);
  v_request.long_ttl := false;
  v_request.open_end := v_facts.has_calls and kata_data.is_open_group(rows, v_facts.last_group)
    or coalesce(v_facts.last_answer = array[v_facts.last_place, 1], false);
  return v_request;
end
$$;
comment on function kata_data.recipe_of(uuid, bigint, bigint, kata_data.view, kata_data.prompt_row[]) is
'The recipe of a request that shows the rows of a window, not yet numbered. KC017 nothing to show.

preamble_end: as the head has it. view: as of `at`.';

create or replace function kata_data.plainly_shown(
  view kata_data.view, at bigint, preamble_end bigint, start_version bigint, turn_version bigint
) returns int8multirange
language sql immutable
as $$
  select kata_data.visible_at(view, at)
    * (int8multirange(int8range(1, preamble_end + 1)) + int8multirange(int8range(start_version, greatest(at + 1, start_version)))
      + case when turn_version is null then '{}' else int8multirange(int8range(turn_version, turn_version, '[]')) end)
$$;
comment on function kata_data.plainly_shown(kata_data.view, bigint, bigint, bigint, bigint) is
'The versions of a view that a request shows whose recipe names none: the preamble, the last message of the user where it is below, and
everything from a version on.';

create or replace function kata_data.message_total(context_id uuid, versions int8multirange) returns bigint
language plpgsql stable
as $$
begin
  -- Each version is a message or a change of the view.
  return (select coalesce(sum(upper(r.range) - lower(r.range)), 0) from unnest(versions) r(range))
    - (select count(*) from kata_data.changes_among(message_total.context_id, versions));
end
$$;
comment on function kata_data.message_total(uuid, int8multirange) is
'The number of messages among some versions of a path. Cost: O(log n + changes).';

create or replace function kata_data.rest_start(rows kata_data.prompt_row[]) returns bigint
language sql immutable
as $$
  select min(g.newest)
  from (
    select max(r.version) as newest
    from unnest(rows) r
    where r.kind <> 'summary'
      and r.reason in ('newest', 'covered', 'recent')
    group by r.group_version
  ) g
$$;
comment on function kata_data.rest_start(kata_data.prompt_row[]) is
'Where the rest of a window starts: groups count by their newest message. Null where it has none.';

create or replace function kata_data.versions_shown(
  context_id uuid, view kata_data.view, plain int8multirange, start_version bigint, rows kata_data.prompt_row[]
) returns int8multirange
language plpgsql stable
as $$
begin
  return (
    select range_agg(int8range(v.version, v.version, '[]'))
    from (
      select r.version from unnest(rows) r where r.reason <> 'recalled'
      union all
      -- Changes between two messages, so that ranges are few; but a summary that did not fit is not shown.
      select c.version
      from kata_data.changes_among(versions_shown.context_id, plain * int8multirange(int8range(start_version, null))) c
      where c.version <> all (view.replacements)
    ) v);
end
$$;
comment on function kata_data.versions_shown(uuid, kata_data.view, int8multirange, bigint, kata_data.prompt_row[]) is
'The versions of the messages and summaries of a window, and of changes between them that show nothing.';

create or replace function kata_data.is_open_group(rows kata_data.prompt_row[], group_version bigint) returns boolean
language plpgsql immutable
as $$
begin
  return (
    select coalesce(sum(jsonb_array_length(r.tool_calls)), 0) > count(*) filter (where r.role = 'tool')
    from unnest(rows) r
    where r.group_version = is_open_group.group_version
      and r.kind not in ('summary', 'recalled'));
end
$$;
comment on function kata_data.is_open_group(kata_data.prompt_row[], bigint) is 'Whether a call of a group has no result among the rows of a window.';

create or replace function kata_data.refuse_empty_request(context_id uuid, at bigint) returns void
language plpgsql immutable
as $$
begin
  raise exception using
    errcode = 'KC017',
    message = 'nothing to send',
    detail = format('As of version %s context %s shows no message.', at, context_id),
    hint = 'Append a message first.';
end
$$;
comment on function kata_data.refuse_empty_request(uuid, bigint) is 'Refuses a request that would show nothing. KC017.';

create or replace function kata_data.record_request(request kata_data.request) returns bigint
language plpgsql volatile
as $$
declare
  v_request_id bigint;
begin
  if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
    perform kata_data.share_shown(request);
  end if;
  loop
    -- Where another session has taken the number, this one waits until it commits, and looks again.
    insert into kata_data.request as r (
      context_id, request_id, at, created_at, preamble_end, start_version, bridge, recall_place, turn_version, profile_id, budget, stable_step, token_count,
      message_count, long_ttl, open_end, body_digest, salt, shown, hidden_thinking, recalled)
    values (
      request.context_id, 1 + coalesce((
        select q.request_id from kata_data.request q where q.context_id = request.context_id order by q.request_id desc limit 1), 0),
      request.at, kata_data.clock(), request.preamble_end,
      request.start_version, request.bridge, request.recall_place, request.turn_version, request.profile_id, request.budget, request.stable_step, request.token_count,
      request.message_count, request.long_ttl, request.open_end, request.body_digest, request.salt, request.shown, request.hidden_thinking,
      request.recalled)
    on conflict on constraint request_pkey do nothing
    returning r.request_id into v_request_id;
    exit when found;
  end loop;
  return v_request_id;
end
$$;
comment on function kata_data.record_request(kata_data.request) is 'Stores a request under the next number of its context, which it returns.';

create or replace function kata_data.share_shown(request kata_data.request) returns void
language plpgsql volatile
as $$
declare
  v_view kata_data.view;
  v_versions int8multirange;
begin
  perform from kata_data.head h where h.context_id = request.context_id for key share;
  v_view := kata_data.view_at(request.context_id, request.at);
  v_versions := kata_data.recipe_versions(request, v_view) + coalesce(request.recalled, '{}');
  perform
  from kata_data.path_messages(request.context_id, v_versions) p
  join kata_data.message m on m.segment_id = p.segment_id and m.version = p.version
  for key share of m;
  perform
  from unnest(v_view.replacements) v(version)
  cross join lateral kata_data.segments(request.context_id, v.version, v.version) s
  join kata_data.summary y on y.segment_id = s.segment_id and y.version = v.version
  for key share of y;
  perform from kata_data.amendment a where a.change_id = any (v_view.amendments) for key share;
end
$$;
comment on function kata_data.share_shown(kata_data.request) is
'Makes a transaction with an old snapshot fail, as one to be tried again, where the context changed since, or an entry that the request shows was
erased. At read committed the lock of the family is enough.';
