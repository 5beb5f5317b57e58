-- The messages of a prompt, before they take the form of a provider: results follow their call, nothing dangles, ids are unique.

create or replace function kata_data.prompt_messages(rows kata_data.prompt_row[], format text)
returns table (
  group_position bigint, place bigint, ordinality bigint, role text, content text, name text, tool_call_id text, tool_calls jsonb, parts jsonb,
  provider jsonb, in_preamble boolean, is_orphan boolean, answered jsonb, version bigint
)
language sql stable rows 100
as $$
  with message as materialized (
    select w.version, w.role, w.content, w.name, w.tool_call_id, w.tool_calls, w.parts, w.provider, w.group_version,
      w.kind = 'preamble' as in_preamble, w.place as group_position,
      w.role = 'tool' and w.group_version = w.version as is_orphan
    from unnest(prompt_messages.rows) w
  ),
  call as materialized (
    select c.version, c.group_version, c.group_position, c.ordinality, c.call, c.id,
      kata_data.sent_call_id(c.id, c.use, c.version, c.ordinality, prompt_messages.format) as sent_id,
      case
        when c.call ->> 'type' = 'custom' and prompt_messages.format in ('openai', 'responses') then 'custom'
        when prompt_messages.format = 'responses' and c.call #> '{responses,type}' is not null then coalesce((
          select kata_data.responses_native_type(
            c.call, m.parts, r.version is null and c.group_position = (select max(l.group_position) from message l), r.content, r.provider)
          from message m
          left join message r on r.group_version = c.group_version and r.tool_call_id = c.id
          where m.version = c.version
          limit 1), 'function')
        else 'function'
      end as sent_type
    from (
      select m.version, m.group_version, m.group_position, e.ordinality, e.call, e.call ->> 'id' as id,
        row_number() over (partition by e.call ->> 'id' collate "C" order by m.group_position, e.ordinality) as use
      from message m
      cross join lateral jsonb_array_elements(m.tool_calls) with ordinality e(call, ordinality)
      where m.tool_calls is not null
    ) c
  ),
  open_call as materialized (
    select c.group_position, c.group_version, c.id, c.sent_id, c.ordinality, c.group_position = (select max(m.group_position) from message m) as is_last
    from call c
    where not exists (
      select from message r
      where r.group_version = c.group_version
        and r.tool_call_id = c.id)
  ),
  -- One object each, looked up by key, because hardly a prompt has any: joins would cost every row.
  renamed as (
    select jsonb_object_agg(c.group_version || ' ' || c.id, c.sent_id) as ids
    from call c
    where c.sent_id <> c.id
  ),
  -- Of each call what the form needs for its result.
  answered as (
    select jsonb_object_agg(c.group_version || ' ' || c.id, jsonb_build_object(
      'type', c.sent_type, 'name', kata_data.sent_call_name(kata_data.call_name(c.call), prompt_messages.format),
      'made_id', c.call #> '{gemini,made_id}')) as calls
    from call c
    where prompt_messages.format in ('responses', 'gemini')
  ),
  recast as (
    select jsonb_object_agg(c.version, c.tool_calls) as calls
    from (
      select c.version, jsonb_agg(kata_data.sent_call(c.call, c.sent_id, c.sent_type, prompt_messages.format) order by c.ordinality) as tool_calls
      from call c
      where c.version in (
        select o.version
        from call o
        where o.sent_type <> 'function'
          or kata_data.is_sent_as_stored(o.call, o.sent_id, prompt_messages.format) is not true)
      group by c.version
    ) c
  )
  select m.group_position, m.version, 0::bigint, m.role, m.content, m.name,
    case when m.tool_call_id is not null
      then coalesce((select r.ids from renamed r) ->> (m.group_version || ' ' || m.tool_call_id), m.tool_call_id) end,
    case when m.tool_calls is not null then coalesce((select r.calls from recast r) -> m.version::text, m.tool_calls) end,
    m.parts, m.provider, m.in_preamble, m.is_orphan,
    case when m.tool_call_id is not null then (select a.calls from answered a) -> (m.group_version || ' ' || m.tool_call_id) end,
    m.version
  from message m
  union all
  select o.group_position, 9223372036854775807, o.ordinality, 'tool', '[no result]', null, o.sent_id, null, null, null, false, false,
    (select a.calls from answered a) -> (o.group_version || ' ' || o.id), null
  from open_call o
  where not o.is_last
  union all
  -- A form whose results are text has their media in a message of the user behind them, once no result is missing.
  select m.group_position, 9223372036854775807, 9223372036854775807, 'user', null, null, null, null, kata_data.media_parts(m.parts, prompt_messages.format), null, false,
    false, null, m.version
  from message m
  where prompt_messages.format in ('openai', 'gemini')
    and m.parts is not null
    and m.role = 'tool'
    and not m.is_orphan
    and kata_data.has_elements(kata_data.media_parts(m.parts, prompt_messages.format))
    and not exists (
      select from open_call o
      where o.is_last
        and o.group_position = m.group_position)
$$;
comment on function kata_data.prompt_messages(kata_data.prompt_row[], text) is
'The rows of a window with the calls of a format, and a result for each call that has none, except those of the last group.

group_position, place, ordinality, version: the order, in which results follow their call. is_orphan: a result whose call is not known.
answered: of a result, the type and the name of its call as they are sent, and whether its id was made; null in the forms that do not ask.
version is null for rows that the log has not.';
