-- The short way to a prompt. Most rows hold only texts, calls of functions and their results, each call answered; they go out as they are
-- stored, and nothing has to be closed or translated. Their prompt is one pass over them, and the same to the byte as what the general way
-- makes.

create or replace function kata_data.usual_kind(rows kata_data.prompt_row[], format text) returns text
language plpgsql stable
as $$
declare
  v_rows record;
begin
  -- Few expressions: each costs as much as a row.
  select bool_and(num_nonnulls(r.parts, r.provider, r.name) = 0 and r.kind <> 'recalled' and (r.tool_calls <> '[]') is not false
      and (r.role <> 'tool' or r.group_version <> r.version)) as are_plain,
    array_agg(r.group_version order by r.group_version) filter (where r.role = 'tool') as answered,
    bool_or(r.tool_calls is not null) as have_calls, bool_or(r.kind = 'summary') as have_summaries, max(r.place) as last_group
  into v_rows
  from unnest(rows) r;
  if v_rows.are_plain is not true or (format in ('anthropic', 'gemini') and kata_data.speaks_as_system(rows)) then
    return 'general';
  elsif not v_rows.have_calls and v_rows.answered is null then
    return case when v_rows.have_summaries then 'marked' else 'bare' end;
  end if;
  return kata_data.usual_calls(rows, format, v_rows.last_group, coalesce(v_rows.answered, '{}'), v_rows.have_summaries);
end
$$;
comment on function kata_data.usual_kind(kata_data.prompt_row[], text) is
'Whether rows hold only texts, calls that go out as they are stored, and one result of each, the last group aside.
Where turns alternate, a message of the system after the preamble is not usual, nor are its tags.

bare if all messages and ids of calls go out as they are, marked if summaries get a mark, renamed if some ids become others, too; general for
other rows. It holds for rows and for the same less some groups.';

create or replace function kata_data.speaks_as_system(rows kata_data.prompt_row[]) returns boolean
language plpgsql stable
as $$
begin
  -- Words of the assistant are not escaped, but those of a summary are not its own.
  return exists (
    select
    from unnest(rows) r
    where r.kind <> 'preamble'
      and case
        when r.role = 'assistant' and r.kind = 'message' then false
        else r.role in ('system', 'developer') or kata_data.has_system_tag(r.content)
      end);
end
$$;
comment on function kata_data.speaks_as_system(kata_data.prompt_row[]) is
'Whether rows behind the preamble are messages of the system, or have its tags where they are escaped.';

create or replace function kata_data.usual_calls(
  rows kata_data.prompt_row[], format text, last_group bigint, answered bigint[], have_summaries boolean
) returns text
language plpgsql stable
as $$
declare
  v_calls record;
begin
  select bool_and(c.is_usual) as are_usual, bool_and(c.fits) as fit, count(distinct c.id) = count(*) as are_unique,
    -- An id may come again in another group.
    count(distinct c.group_version || ' ' || c.id) = count(*) as differ_in_groups, array_agg(c.group_version order by c.group_version) as called
  into v_calls
  from (
    select c.group_version, c.id, kata_data.is_sent_as_stored(c.call, c.id, usual_calls.format) is true as is_usual,
      kata_data.sent_call_id(c.id, 1, 1, 1, usual_calls.format) = c.id as fits
    from (
      select r.group_version, e.call, e.call ->> 'id' collate "C" as id
      from unnest(rows) r
      cross join lateral jsonb_array_elements(r.tool_calls) e(call)
      where r.tool_calls is not null
      offset 0
    ) c
  ) c;
  if v_calls.are_usual is not true or array_remove(v_calls.called, last_group) <> array_remove(answered, last_group) then
    return 'general';
  elsif v_calls.are_unique and v_calls.fit then
    return case when have_summaries then 'marked' else 'bare' end;
  elsif v_calls.differ_in_groups then
    return 'renamed';
  end if;
  return 'general';
end
$$;
comment on function kata_data.usual_calls(kata_data.prompt_row[], text, bigint, bigint[], boolean) is
'The kind of rows that hold only texts, calls and results.

last_group: may wait for results. answered: the groups of results.';

create or replace function kata_data.renamed_calls(rows kata_data.prompt_row[], format text) returns jsonb
language plpgsql stable
as $$
begin
  return (
    select jsonb_object_agg(c.group_version || ' ' || c.id, c.sent_id)
    from (
      select c.group_version, c.id,
        kata_data.sent_call_id(c.id, row_number() over (partition by c.id collate "C" order by c.group_version, c.ordinality), c.version, c.ordinality,
          renamed_calls.format) as sent_id
      from (
        select r.group_version, r.version, e.ordinality, e.call ->> 'id' as id
        from unnest(rows) r
        cross join lateral jsonb_array_elements(r.tool_calls) with ordinality e(call, ordinality)
        where r.tool_calls is not null
      ) c
    ) c
    where c.sent_id <> c.id);
end
$$;
comment on function kata_data.renamed_calls(kata_data.prompt_row[], text) is 'Other ids of calls in usual rows, by group and stored id; null for none.';

create or replace function kata_data.renamed_groups(renamed jsonb) returns bigint[]
language sql immutable
as $$
  select coalesce(array_agg(distinct split_part(k.key, ' ', 1)::bigint), '{}') from jsonb_object_keys(renamed) k(key)
$$;
comment on function kata_data.renamed_groups(jsonb) is 'The groups in which renamed_calls has other ids.';
