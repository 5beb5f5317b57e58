-- The tokens that a form adds to those that a window counts: prefixes, wrappers, placeholders, names. The length of a text bounds them, so
-- that they are never too few.

create or replace function kata_data.added_tokens(
  role text, content text, name text, tool_call_id text, parts jsonb, provider jsonb, in_preamble boolean, is_orphan boolean, format text
) returns integer
language sql stable
as $$
  select case
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
    when provider ? 'audio' then 4
    else 0
  end
  + case when parts is null then 0 else kata_data.added_part_tokens(parts) end
$$;
comment on function kata_data.added_tokens(text, text, text, text, jsonb, jsonb, boolean, boolean, text) is
'At most so many tokens that a form adds to a message: the prefix of an orphan, a name, a placeholder, the tags of a system message.';

create or replace function kata_data.added_name_tokens(call jsonb, format text) returns integer
language sql immutable
as $$
  select case when kata_data.sent_call_name(kata_data.call_name(call), format) = kata_data.call_name(call) then 0
      else octet_length(kata_data.sent_call_name(kata_data.call_name(call), format)) / 2 + 2 end
    -- The text of a custom call as an object.
    + case when call ? 'custom' and format in ('anthropic', 'gemini')
      then 6 + octet_length((call #> '{custom,input}')::text) - octet_length(call #>> '{custom,input}') else 0 end
$$;
comment on function kata_data.added_name_tokens(jsonb, text) is 'At most so many tokens that a call gains where it is rewritten.';

create or replace function kata_data.added_part_tokens(parts jsonb) returns integer
language sql immutable
as $$
  select coalesce(sum(2 + coalesce(octet_length(p.part ->> 'source'), 0) + coalesce(octet_length(p.part ->> 'title'), 0)
      + coalesce(octet_length(coalesce(p.part #>> '{file,filename}', p.part ->> 'filename')), 0)), 0)::integer
  from jsonb_array_elements(parts) p(part)
  where p.part ->> 'type' not in ('text', 'input_text', 'output_text', 'image')
$$;
comment on function kata_data.added_part_tokens(jsonb) is
'At most so many tokens that parts gain where they are translated: a title, the source of a search result.';

create or replace function kata_data.added_blocks_tokens(blocks jsonb, is_answer boolean, format text) returns bigint
language plpgsql stable
as $$
begin
  return (
    select coalesce(sum(case format when 'gemini' then kata_data.added_gemini_tokens(b.block) else kata_data.added_block_tokens(b.block, is_answer) end), 0)
    from jsonb_array_elements(blocks) b(block));
end
$$;
comment on function kata_data.added_blocks_tokens(jsonb, boolean, text) is 'At most so many tokens that the blocks of a message add to its text.';

create or replace function kata_data.added_block_tokens(block jsonb, is_answer boolean) returns integer
language sql immutable
as $$
  select case
    when is_answer then case
      when not block ? 'input' then 0
      when block -> 'input' = '{}' then 1
      when jsonb_typeof(block #> '{input,arguments}') = 'string'
        then 6 + octet_length((block #> '{input,arguments}')::text) - octet_length(block #>> '{input,arguments}')
      else 0
    end
    else kata_data.escape_tokens(block::text)
  end
$$;
comment on function kata_data.added_block_tokens(jsonb, boolean) is
'At most so many tokens that a block of the Anthropic form adds to its text: arguments that are not an object, escaped tags.

is_answer: of an assistant, whose text is not escaped.';

create or replace function kata_data.added_gemini_tokens(part jsonb) returns integer
language plpgsql stable
as $$
declare
  v_response jsonb := part #> '{functionResponse,response}';
begin
  if part ? 'functionCall' then
    return kata_data.added_block_tokens(jsonb_build_object('input', part #> '{functionCall,args}'), true);
  elsif v_response is null then
    return kata_data.escape_tokens(part::text);
  end if;
  -- Its name, and its text as JSON under a key.
  return octet_length(part #>> '{functionResponse,name}') / 2 + 10 + kata_data.escape_tokens(part::text) + coalesce((
    select max(octet_length(r.value::text) - octet_length(r.value #>> '{}'))
    from jsonb_each(v_response) r
    where jsonb_typeof(r.value) = 'string'), 0);
end
$$;
comment on function kata_data.added_gemini_tokens(jsonb) is
'At most so many tokens that a part of the Gemini form adds to its text: the name and the JSON of a result, escaped tags.';

create or replace function kata_data.escape_tokens(content text) returns integer
language sql immutable
as $$
  select case when kata_data.has_bracket(content)
    then 2 * (select count(*)::integer from regexp_matches(content, E'[<\uff1c\ufe64\u226e]\\\\\\\\' collate "C", 'g')) else 0 end
$$;
comment on function kata_data.escape_tokens(text) is 'At most so many tokens that escaped tags add to blocks as JSON.';
