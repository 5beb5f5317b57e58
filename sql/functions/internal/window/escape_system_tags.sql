-- A prompt wraps system messages after the preamble in tags. The same tags in other words are escaped, so that a user or a tool cannot
-- speak as the system.

create or replace function kata_data.escape_blocks(blocks jsonb) returns jsonb
language plpgsql immutable
as $$
begin
  if not kata_data.has_system_tag(blocks::text) then
    return blocks;
  end if;
  return (
    select jsonb_agg(
      case
        when jsonb_typeof(b.block -> 'text') = 'string'
          then b.block || jsonb_build_object('text', kata_data.escape_system_tags(b.block ->> 'text'))
        else b.block
      end order by b.ordinality)
    from jsonb_array_elements(blocks) with ordinality b(block, ordinality));
end
$$;
comment on function kata_data.escape_blocks(jsonb) is
'Blocks of a user''s or a tool''s message, with the system tags in their text escaped.';

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
