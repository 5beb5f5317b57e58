-- A prompt wraps system messages after the preamble in tags. The same tags in other words are escaped, so that a user or a tool cannot
-- speak as the system.

create or replace function kata_data.escape_blocks(blocks jsonb) returns jsonb
language plpgsql immutable
as $$
begin
  if blocks::text !~* 'system_message' then
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
  select regexp_replace(content, E'<(\\s*/?\\s*system_message(?:[\\s/>]|$))', E'<\\\\\\1', 'gi')
$$;
comment on function kata_data.escape_system_tags(text) is
'A text with a backslash in its system_message tags, opening and closing.

So they do not pass for the tags of a prompt.';
