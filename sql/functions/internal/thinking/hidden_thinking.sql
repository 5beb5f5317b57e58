-- Which thinking a request leaves out. Newest first: the newest answer that is valid was made with what its request showed, and all
-- before it is the same now, so one comparison decides for the whole window.

create or replace function kata_data.hidden_thinking(
  request kata_data.request, profile kata_data.request_profile, view kata_data.view
) returns int8multirange
language plpgsql stable
as $$
declare
  v_shown int8multirange;
  v_turn bigint;
  v_answer record;
  v_newest bigint;
  v_is_recorded boolean := false;
  v_hidden int8multirange;
begin
  if profile.format <> 'anthropic' or profile.thinking in ('keep', 'drop') then
    return case profile.thinking when 'drop' then int8multirange(int8range(1, request.at + 1)) end;
  end if;
  v_shown := kata_data.shown_by(request, view);
  for v_answer in
    select a.version, a.segment_id, a.request_id, a.model, a.is_copy
    from kata_data.answers_with_thinking(request.context_id, v_shown) a
  loop
    v_is_recorded := v_is_recorded or v_answer.request_id is not null;
    if v_answer.request_id is not null then
      v_hidden := kata_data.hidden_before_recorded(
        request, profile, view, v_shown, v_answer.segment_id, v_answer.version, v_answer.request_id, v_answer.model);
    elsif not v_is_recorded and not v_answer.is_copy then
      v_turn := coalesce(v_turn, kata_data.turn_at(request.context_id, request.at));
      v_hidden := kata_data.hidden_before_unrecorded(request, profile, view, v_shown, v_turn, v_answer.version, v_answer.model);
    end if;
    if v_hidden is not null then
      v_hidden := v_hidden + case
        when v_newest is null then '{}'::int8multirange
        else int8multirange(int8range(v_answer.version + 1, request.at + 1))
      end;
      exit;
    end if;
    v_newest := coalesce(v_newest, v_answer.version);
  end loop;
  if v_hidden is null and v_newest is not null then
    v_hidden := int8multirange(int8range(1, request.at + 1));
  end if;
  if view.amended_from is not null then
    -- Their signatures are of other words.
    v_hidden := coalesce(v_hidden, '{}') + kata_data.amended_answers(request.context_id, request.at, view, v_shown);
  end if;
  return nullif(v_hidden, '{}');
end
$$;
comment on function kata_data.hidden_thinking(kata_data.request, kata_data.request_profile, kata_data.view) is
'The versions of answers whose thinking a request leaves out, as wide ranges; null for none.

request: its recipe. view: as of the request. Only the Anthropic form has thinking that depends on what comes before it.
Cost: O(pieces + rows since the newest answer); after a break once that for each answer.';

create or replace function kata_data.amended_answers(context_id uuid, at bigint, view kata_data.view, shown int8multirange)
returns int8multirange
language plpgsql stable
as $$
begin
  return (
    select coalesce(range_agg(int8range(m.version, m.version, '[]')), '{}')
    from unnest(kata_data.amendments_at(amended_answers.context_id, view, shown, at)) c(change_id)
    cross join lateral (
      select a.version
      from kata_data.amendment a
      where a.change_id = c.change_id
      offset 0
    ) a
    cross join lateral kata_data.path_messages(amended_answers.context_id, int8multirange(int8range(a.version, a.version, '[]'))) m
    where m.role = 'assistant');
end
$$;
comment on function kata_data.amended_answers(uuid, bigint, kata_data.view, int8multirange) is
'The answers among some messages that are shown in other words. view: as of `at`.';

create or replace function kata_data.turn_at(context_id uuid, at bigint) returns bigint
language sql stable
as $$
  select coalesce((select m.turn_version from kata_data.message_at(turn_at.context_id, turn_at.at) m), 0)
$$;
comment on function kata_data.turn_at(uuid, bigint) is 'The newest message of the user of a line as of a version; 0 for none.';

create or replace function kata_data.answers_with_thinking(context_id uuid, versions int8multirange)
returns table (version bigint, segment_id uuid, request_id bigint, model text, is_copy boolean)
language sql stable rows 10
as $$
  -- The loops nest in this order, so only the rows that the caller reads cost.
  select m.version, m.segment_id, m.request_id, m.model, m.request_id is null and exists (
      select from kata_data.merge_origin o
      where o.segment_id = m.segment_id
        and o.version = m.version)
  from (select r.range from unnest(versions) r(range) order by r.range desc offset 0) r
  cross join lateral (
    select s.segment_id, s.first_version, s.last_version
    from kata_data.segments(answers_with_thinking.context_id, lower(r.range), upper(r.range) - 1) s
    order by s.first_version desc
    offset 0
  ) s
  cross join lateral (
    select m.version, m.segment_id, m.request_id, m.model
    from kata_data.message m
    where m.segment_id = s.segment_id
      and m.version between s.first_version and s.last_version
      and m.role = 'assistant'
      and m.parts is not null
      and kata_data.has_signed_thinking(m.parts)
    order by m.version desc
    offset 0
  ) m
$$;
comment on function kata_data.answers_with_thinking(uuid, int8multirange) is
'The messages of a path at some versions that have signed thinking, newest first, with the request that each answers.

is_copy: made by a merge; no request here was answered by it.';

create or replace function kata_data.has_signed_thinking(parts jsonb) returns boolean
language sql immutable
as $$
  select parts @? '$[*] ? (@.type == "thinking" && @.signature != "" || @.type == "redacted_thinking")'
$$;
comment on function kata_data.has_signed_thinking(jsonb) is 'Whether parts hold thinking that is signed or encrypted.';

create or replace function kata_data.hidden_before_recorded(
  request kata_data.request, profile kata_data.request_profile, view kata_data.view, shown int8multirange,
  segment_id uuid, version bigint, request_id bigint, model text
) returns int8multirange
language plpgsql stable
as $$
declare
  v_asked kata_data.request;
begin
  select r.* into v_asked
  from kata_data.request r
  join kata_data.request_profile p on p.profile_id = r.profile_id
  where r.context_id = hidden_before_recorded.segment_id
    and r.request_id = hidden_before_recorded.request_id
    and p.prefix_digest = profile.prefix_digest
    and not r.open_end;
  if found
    and kata_data.is_own_thinking(hidden_before_recorded.model, profile.model)
    and kata_data.has_same_recalled(v_asked, request, version)
    and kata_data.is_prefix(v_asked, request, view, kata_data.rows_before(request.context_id, view, shown, version)) then
    return coalesce(v_asked.hidden_thinking, '{}');
  end if;
  return null;
end
$$;
comment on function kata_data.hidden_before_recorded(
  kata_data.request, kata_data.request_profile, kata_data.view, int8multirange, uuid, bigint, bigint, text) is
'What the request of an answer hid, if the answer is valid in another request; else null.

view, shown: of the other request. segment_id to model: of the answer.';

create or replace function kata_data.is_own_thinking(answered_by text, model text) returns boolean
language sql immutable
as $$
  -- A provider completes the name that it was asked by: claude-x answers as claude-x-20260101.
  select answered_by is null or model is null or answered_by = model or starts_with(answered_by, model || '-')
$$;
comment on function kata_data.is_own_thinking(text, text) is 'Whether a model reads the thinking in an answer: it reads its own.';

create or replace function kata_data.rows_before(context_id uuid, view kata_data.view, shown int8multirange, version bigint) returns int8multirange
language plpgsql stable
as $$
declare
  v_before int8multirange := shown * int8multirange(int8range(null, version));
  v_late int8multirange;
begin
  -- Results read behind their call, whenever they came.
  v_late := (
    select range_agg(int8range(m.version, m.version, '[]'))
    from kata_data.path_messages(rows_before.context_id, shown * int8multirange(int8range(rows_before.version + 1, null))) m
    where m.group_version < rows_before.version);
  v_before := v_before + coalesce(v_late, '{}');
  if view.replacements <> '{}' then
    v_before := v_before - kata_data.versions_of(view.replacements) + coalesce((
      select range_agg(int8range(r.version, r.version, '[]'))
      from unnest(view.replacements, view.covers) r(version, covers)
      where shown @> r.version
        and coalesce(lower(r.covers), r.version) < rows_before.version), '{}');
  end if;
  return v_before;
end
$$;
comment on function kata_data.rows_before(uuid, kata_data.view, int8multirange, bigint) is
'The rows of a window that read before a message of it.

shown: the versions of the rows. Cost: O(pieces + rows after the message).';

create or replace function kata_data.versions_of(versions bigint[]) returns int8multirange
language sql immutable
as $$
  select coalesce(range_agg(int8range(v.version, v.version, '[]')), '{}') from unnest(versions) v(version)
$$;
comment on function kata_data.versions_of(bigint[]) is 'Some versions as a multirange.';
