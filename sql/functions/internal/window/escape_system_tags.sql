-- A prompt wraps system messages after the preamble in tags. The same tags in other words are escaped, so that a user or a tool cannot
-- speak as the system.

create or replace function kata_data.escape_blocks(blocks jsonb) returns jsonb
language sql immutable
as $$
  -- Addresses and ids would name something else. Data in base64 has no tags.
  select kata_data.escape_strings(blocks, '{url,fileUri,file_id,id,tool_use_id,tool_name}')
$$;
comment on function kata_data.escape_blocks(jsonb) is
'Blocks of a user''s or a tool''s message, with the system tags in their strings escaped: texts, titles, documents.';

create or replace function kata_data.escape_strings(value jsonb, kept text[]) returns jsonb
language plpgsql immutable
as $$
begin
  if not kata_data.has_system_tag(value::text) then
    return value;
  end if;
  return case jsonb_typeof(value)
    when 'string' then to_jsonb(kata_data.escape_system_tags(value #>> '{}'))
    when 'array' then (
      select jsonb_agg(kata_data.escape_strings(e.element, kept) order by e.ordinality)
      from jsonb_array_elements(value) with ordinality e(element, ordinality))
    when 'object' then (
      select jsonb_object_agg(
        kata_data.escape_system_tags(f.key), case when f.key = any (kept) then f.value else kata_data.escape_strings(f.value, kept) end)
      from jsonb_each(value) f)
  end;
end
$$;
comment on function kata_data.escape_strings(jsonb, text[]) is
'A value with the system tags in its strings and keys escaped. kept: keys whose values stay as they are.';

create or replace function kata_data.escape_system_tags(content text) returns text
language sql immutable
as $$
  select case when kata_data.has_system_tag(content)
    then regexp_replace(content, E'<(\\s*/?\\s*system_message(?:[\\s/>]|$))', E'<\\\\\\1', 'gi')
    else content end
$$;
comment on function kata_data.escape_system_tags(text) is
'A text with a backslash in its system_message tags, opening and closing.

So they do not pass for the tags of a prompt.';

create or replace function kata_data.wrapped_system(content text, parts jsonb, version bigint, format text) returns text
language plpgsql stable
as $$
declare
  v_text text := content;
begin
  if kata_data.has_elements(parts) then
    v_text := coalesce(kata_data.words_of(parts, version, format), content);
  end if;
  if kata_data.is_blank(v_text) then
    return null;
  end if;
  -- Closing tags in the text are escaped, so that it cannot leave its wrapper.
  return E'<system_message>\n' || regexp_replace(v_text, E'<(\\s*/\\s*system_message)', E'<\\\\\\1', 'gi') || E'\n</system_message>';
end
$$;
comment on function kata_data.wrapped_system(text, jsonb, bigint, text) is
'A system message after the preamble as text of the user''s turn, in <system_message> tags; null if it is blank. KC022.';

create or replace function kata_data.has_system_tag(content text) returns boolean
language sql immutable
as $$
  -- A regular expression takes ten times as long.
  select strpos(lower(content collate "C"), 'system_message') > 0
$$;
comment on function kata_data.has_system_tag(text) is 'Whether a text may have system_message tags.';
