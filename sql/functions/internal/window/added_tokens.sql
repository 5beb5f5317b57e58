-- The tokens that a form adds to those that a window counts: prefixes, wrappers, placeholders, names. They are bounded from the rows alone,
-- before anything is written, so that a prompt is selected once and written once. The length of a text bounds its tokens.

create or replace function kata_data.prompt_groups(rows kata_data.prompt_row[], format text, are_usual boolean)
returns table (
  group_version bigint, group_position bigint, newest_version bigint, is_rest boolean, is_answer boolean, token_count bigint, added_tokens bigint
)
language sql stable rows 100
as $$
  select g.group_version, g.group_position, g.newest_version, g.is_rest, g.is_answer, g.token_count,
    g.added_tokens + case when g.open_calls <= 0 or g.group_position = max(g.group_position) over () then 0 else 8 * g.open_calls end
  from (
    select r.group_version, min(r.group_position) as group_position, max(r.version) as newest_version, bool_and(r.is_rest) as is_rest,
      case when bool_or(r.is_turn) then bool_or(r.role = 'assistant') end as is_answer, sum(r.token_count) as token_count,
      sum(r.open_calls) as open_calls, sum(r.added_tokens) as added_tokens
    from (
      -- Apart, so that no content is sorted.
      select r.group_version, r.place as group_position, r.version, r.role,
        r.reason in ('recent', 'covered') as is_rest, r.token_count,
        r.reason <> 'preamble' and (r.role = 'assistant' or not r.is_blank) as is_turn,
        case when r.tool_calls is not null then jsonb_array_length(r.tool_calls) else 0 end
          - (r.role = 'tool' and r.group_version <> r.version)::integer as open_calls,
        case
          when not are_usual then kata_data.added_tokens(r.role, r.content, case when r.kind <> 'recalled' then r.name end, r.tool_call_id, r.tool_calls, r.parts, r.provider,
            r.reason = 'preamble', r.role = 'tool' and r.group_version = r.version, prompt_groups.format)
          -- The short way again: a function would be called for each message.
          when r.tool_calls is not null then case prompt_groups.format
            when 'openai' then 0
            when 'responses' then 4 * (jsonb_array_length(r.tool_calls) - r.is_blank::integer)
            else (
              select sum(case when kata_data.is_plain_object(c.arguments) then (c.arguments = '{}')::integer else kata_data.added_input_tokens(c.arguments) end
                + case prompt_groups.format when 'gemini' then octet_length(c.name) / 2 + 10 else 0 end)
              from (
                select e.call #>> '{function,arguments}' as arguments, e.call #>> '{function,name}' as name
                from jsonb_array_elements(r.tool_calls) e(call)
                offset 0
              ) c)
          end
          when r.role = 'tool' then case
            when prompt_groups.format = 'gemini' then 2 + case when kata_data.is_plain_object(r.content) then 0 else kata_data.added_output_tokens(r.content) end
            when prompt_groups.format <> 'anthropic' and r.is_blank then 3
            else 0
          end
          else 0
        end
        + case
            when r.kind <> 'summary' or r.role not in ('user', 'assistant') then 0
            -- A mark; the words of a user are escaped anyway.
            when r.role = 'user' or prompt_groups.format in ('openai', 'responses') then 8
            else 8 + kata_data.escape_tokens(r.content, false)
          end as added_tokens
      from (
        select r.group_version, r.place, r.version, r.reason, r.kind, r.role, r.content, r.name, r.tool_call_id, r.tool_calls, r.parts,
          r.provider, r.token_count, kata_data.is_blank(r.content) as is_blank
        from unnest(rows) r
        offset 0
      ) r
      offset 0
    ) r
    group by r.group_version
  ) g
$$;
comment on function kata_data.prompt_groups(kata_data.prompt_row[], text, boolean) is
'The groups of a window with their tokens, and at most how many a form adds to them.

are_usual: as usual_kind has it. is_rest: whether the group is among those that only fill the budget. is_answer: of what is not the
preamble, whether the assistant has the group; null for a group that is blank.';

create or replace function kata_data.usual_tokens(
  rows kata_data.prompt_row[], format text, out tokens bigint, out added_tokens bigint
)
language plpgsql stable
as $$
begin
  if format in ('openai', 'responses') then
    select sum(r.token_count), sum(case
        when r.role = 'tool' then 3 * kata_data.is_blank(r.content)::integer
        when r.kind = 'summary' then 8 * (r.role in ('user', 'assistant'))::integer
        when usual_tokens.format = 'openai' or r.tool_calls is null then 0
        else 4 * (jsonb_array_length(r.tool_calls) - kata_data.is_blank(r.content)::integer)
      end)
    into tokens, added_tokens
    from unnest(rows) r;
    return;
  end if;
  -- The first turn must be the user's.
  select sum(r.token_count),
    case
      when min(r.place) filter (where r.kind <> 'preamble' and r.role = 'assistant')
        < coalesce(min(r.place) filter (where r.kind <> 'preamble' and r.role not in ('assistant', 'tool') and not kata_data.is_blank(r.content)),
          9223372036854775807) then 12
      else 0
    end
    + sum(case
      when r.kind = 'summary' then 8 + case when r.role = 'assistant' then kata_data.escape_tokens(r.content, false) else 0 end
      when r.role = 'tool' and usual_tokens.format = 'gemini'
        then 2 + case when kata_data.is_plain_object(r.content) then 0 else kata_data.added_output_tokens(r.content) end
      else 0
    end)
    + coalesce((
      select sum(
        case when kata_data.is_plain_object(c.arguments) then (c.arguments = '{}')::integer else kata_data.added_input_tokens(c.arguments) end
        + case usual_tokens.format when 'gemini' then octet_length(c.name) / 2 + 10 else 0 end)
      from (
        select e.call #>> '{function,arguments}' as arguments, e.call #>> '{function,name}' as name
        from unnest(rows) r
        cross join lateral jsonb_array_elements(r.tool_calls) e(call)
        where r.tool_calls is not null
        offset 0
      ) c), 0)
  into tokens, added_tokens
  from unnest(rows) r;
end
$$;
comment on function kata_data.usual_tokens(kata_data.prompt_row[], text) is
'The tokens of usual rows whose calls are answered, and at most so many that a form adds to them.';

create or replace function kata_data.added_tokens(
  role text, content text, name text, tool_call_id text, tool_calls jsonb, parts jsonb, provider jsonb, in_preamble boolean, is_orphan boolean,
  format text
) returns integer
language plpgsql stable
as $$
begin
  return case
    when is_orphan then octet_length(tool_call_id) + 8
    when format in ('openai', 'responses') then
      case
        when name is null or format = 'responses' then 0
        when octet_length(name) = length(name) then length(name) / 2 + 2
        else octet_length(name)
      end
      + case when role = 'tool' and kata_data.is_blank(content) then 3 else 0 end
      + case when format = 'responses' and provider ? 'audio' then 4 else 0 end
    -- The tags, and a line break behind each part.
    when role in ('system', 'developer') and not in_preamble then 12 + case when parts is null then 0 else jsonb_array_length(parts) end
    when role = 'tool' and format = 'gemini' then 2 + case when parts is null then kata_data.added_output_tokens(content) else kata_data.added_words_tokens(parts) end
    when provider ? 'audio' then 4
    else 0
  end
  + case when tool_calls is null then 0 else kata_data.added_calls_tokens(tool_calls, parts, content, format) end
  + case when parts is null then 0 else kata_data.added_part_tokens(parts, role, is_orphan, format) end
  + case
      when format in ('openai', 'responses') or role = 'assistant' then 0
      when parts is null then kata_data.escape_tokens(content, role = 'tool')
      -- Each of its texts may end with the beginning of a tag.
      when kata_data.has_bracket(parts::text)
        then kata_data.escape_tokens(content, true) + kata_data.escape_tokens(parts::text, true) + 2 * jsonb_array_length(parts)
      else kata_data.escape_tokens(content, true)
    end;
end
$$;
comment on function kata_data.added_tokens(text, text, text, text, jsonb, jsonb, jsonb, boolean, boolean, text) is
'At most so many tokens that a form adds to a message: the prefix of an orphan, a name, a placeholder, tags of a system message, escaped tags.';

create or replace function kata_data.added_calls_tokens(tool_calls jsonb, parts jsonb, content text, format text) returns integer
language plpgsql stable
as $$
begin
  return (
    select coalesce(sum(
        case when kata_data.is_sent_as_stored(c.call, c.call ->> 'id', format) then 0 else kata_data.added_name_tokens(c.call, format) end
        + case format
            when 'openai' then 0
            -- An item of its own.
            when 'responses' then 4
            when 'anthropic' then kata_data.added_input_tokens(c.call #>> '{function,arguments}')
            -- The result has the name, too.
            else kata_data.added_input_tokens(c.call #>> '{function,arguments}') + octet_length(kata_data.call_name(c.call)) / 2 + 10
          end), 0)
      - case when format = 'responses' and parts is null and kata_data.is_blank(content) then 4 else 0 end
    from jsonb_array_elements(tool_calls) c(call));
end
$$;
comment on function kata_data.added_calls_tokens(jsonb, jsonb, text, text) is 'At most so many tokens that a form adds to the calls of a message.';

create or replace function kata_data.added_name_tokens(call jsonb, format text) returns integer
language plpgsql immutable
as $$
begin
  return case when kata_data.sent_call_name(kata_data.call_name(call), format) = kata_data.call_name(call) then 0
      else octet_length(kata_data.sent_call_name(kata_data.call_name(call), format)) / 2 + 2 end
    -- The text of a custom call as an object.
    + case when call ? 'custom' and format in ('anthropic', 'gemini')
      then 6 + octet_length((call #> '{custom,input}')::text) - octet_length(call #>> '{custom,input}') else 0 end;
end
$$;
comment on function kata_data.added_name_tokens(jsonb, text) is 'At most so many tokens that a call gains where it is rewritten.';

create or replace function kata_data.added_input_tokens(arguments text) returns integer
language plpgsql stable
as $$
begin
  return case
    when arguments is null then 0
    when arguments in ('', '{}') then 1
    when kata_data.is_json_object(arguments) then 0
    else 8 + octet_length(to_json(arguments)::text) - octet_length(arguments)
  end;
end
$$;
comment on function kata_data.added_input_tokens(text) is
'At most so many tokens that the arguments of a call gain as an object. Text that is not an object becomes a field.';

create or replace function kata_data.added_output_tokens(content text) returns integer
language plpgsql stable
as $$
begin
  return case when kata_data.is_json_object(content) then 0 else octet_length(to_json(coalesce(content, ''))::text) - octet_length(coalesce(content, '')) end;
end
$$;
comment on function kata_data.added_output_tokens(text) is
'At most so many tokens that the text of a result gains as JSON; one that is an object stays as it is.';

create or replace function kata_data.added_words_tokens(parts jsonb) returns integer
language plpgsql immutable
as $$
begin
  -- The JSON of the parts has all that their words need, and a control character takes six characters for one.
  return 2 + (octet_length(parts::text) - octet_length(replace(parts::text, E'\\', ''))) * case when parts::text ~~ E'%\\\\u%' then 5 else 1 end;
end
$$;
comment on function kata_data.added_words_tokens(jsonb) is 'At most so many tokens that the words of parts gain as JSON.';

create or replace function kata_data.added_part_tokens(parts jsonb, role text, is_orphan boolean, format text) returns integer
language plpgsql immutable
as $$
begin
  return (
    select (coalesce(sum(
        case when p.part ->> 'type' in ('text', 'input_text', 'output_text', 'image') then 0 else
          2 + coalesce(octet_length(p.part ->> 'source'), 0) + coalesce(octet_length(p.part ->> 'title'), 0)
            + coalesce(octet_length(coalesce(p.part #>> '{file,filename}', p.part ->> 'filename')), 0) end
        -- Only the forms of OpenAI have images in low detail.
        + case when format in ('anthropic', 'gemini') and coalesce(p.part ->> 'detail', p.part #>> '{image_url,detail}') = 'low'
          then kata_data.image_tokens((p.part - 'detail') #- '{image_url,detail}') - kata_data.image_tokens(p.part) else 0 end
        -- An item of its own.
        + case when format = 'responses' and role = 'assistant' and p.part ->> 'type' not in ('thinking', 'redacted_thinking') then 4 else 0 end), 0)
    -- A message of the user has media behind the results.
    + case when format in ('openai', 'gemini') and role = 'tool' and not is_orphan and kata_data.has_elements(kata_data.media_parts(parts, format))
      then 12 else 0 end)::integer
    from jsonb_array_elements(parts) p(part));
end
$$;
comment on function kata_data.added_part_tokens(jsonb, text, boolean, text) is
'At most so many tokens that parts gain where they are translated: a title, the source of a search result, an image in full, an item, a message.';

create or replace function kata_data.escape_tokens(content text, is_json boolean) returns integer
language plpgsql immutable
as $$
begin
  if kata_data.has_system_tag(content) is not true then
    return 0;
  elsif is_json then
    -- A line break in a string is a backslash in its JSON.
    return 2 + 2 * (select count(*)::integer from regexp_matches(content, E'[<\uff1c\ufe64\u226e]' collate "C", 'g'));
  end if;
  return 2 + 2 * (length(kata_data.escape_system_tags(content)) - length(content));
end
$$;
comment on function kata_data.escape_tokens(text, boolean) is 'At most so many tokens that escaped tags add to a text. is_json: whether it may be JSON.';

create or replace function kata_data.added_factor(tokenizer text) returns double precision
language plpgsql stable
as $$
declare
  v_factor double precision;
begin
  -- A null factor would compare as null, so that no prompt would ever fit.
  v_factor := kata_data.tokenizer_factor(tokenizer);
  if v_factor is null then
    perform kata_data.refuse_tokenizer(tokenizer);
  end if;
  return v_factor;
end
$$;
comment on function kata_data.added_factor(text) is
'The factor by which tokens that a form adds are converted to the tokenizer of a prompt. KC017.';
