-- A prompt wraps system messages after the preamble in tags. The same tags in other words are escaped, so that a user or a tool cannot
-- speak as the system. A tag is what becomes one for the model that reads the prompt: tokenizers fold full-width and styled letters and drop
-- marks and invisible characters, and neighboring texts of a turn may be joined. Words of the assistant are its own: they are signed with
-- its thinking, and no tag opens the system in its turns.

create or replace function kata_data.escape_blocks(blocks jsonb, is_closed boolean default false) returns jsonb
language plpgsql immutable
as $$
begin
  if not kata_data.has_bracket(blocks::text) then
    return blocks;
  end if;
  -- Addresses and ids would name something else. Data in base64 has no tags.
  return (
    select coalesce(jsonb_agg(case
      when kata_data.ends_in_tag(b.block ->> 'text') and not (is_closed and b.ordinality = jsonb_array_length(blocks))
        then b.block || jsonb_build_object('text', kata_data.escape_last(b.block ->> 'text'))
      else b.block end order by b.ordinality), '[]')
    from jsonb_array_elements(kata_data.escape_strings(blocks, '{url,fileUri,file_id,id,tool_use_id,tool_name}')) with ordinality b(block, ordinality));
end
$$;
comment on function kata_data.escape_blocks(jsonb, boolean) is
'Blocks of a user''s or a tool''s message, with the system tags in their strings escaped: texts, titles, documents. A text that ends with the
beginning of a tag has a backslash there, because the next text might complete it.

is_closed: no text of another message follows the last block, as in a result.';

create or replace function kata_data.escape_strings(value jsonb, kept text[]) returns jsonb
language plpgsql immutable
as $$
begin
  if not kata_data.holds_system_tag(value::text) then
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
    else value
  end;
end
$$;
comment on function kata_data.escape_strings(jsonb, text[]) is
'A value with the system tags in its strings and keys escaped. kept: keys whose values stay as they are.';

create or replace function kata_data.escape_system_tags(content text, is_closing boolean default false) returns text
language plpgsql immutable
as $$
declare
  v_name text := case when is_closing then E'\\s*/' else '' end || E'[\\s/]*system_message(?![a-z0-9_-])';
begin
  if not kata_data.holds_system_tag(content) then
    return content;
  elsif not kata_data.may_fold(content) then
    return regexp_replace(content, ('<(' || v_name || ')') collate "C", E'<\\\\\\1', 'gi');
  end if;
  return (
    select string_agg(case when kata_data.folded(p.piece) ~ (('^<' || v_name) collate "C") then kata_data.escape_last(p.piece) else p.piece end, ''
      order by p.ordinality)
    from regexp_split_to_table(content, E'(?=[<\uff1c\ufe64\u226e])' collate "C") with ordinality p(piece, ordinality));
end
$$;
comment on function kata_data.escape_system_tags(text, boolean) is
'A text with a backslash in its system_message tags, so that they do not pass for the tags of a prompt. is_closing: in closing tags only.';

create or replace function kata_data.has_system_tag(content text) returns boolean
language sql immutable
as $$
  -- Most texts have no bracket.
  select case when not kata_data.has_bracket(content) then false else kata_data.holds_system_tag(content) or kata_data.ends_in_tag(content) end
$$;
comment on function kata_data.has_system_tag(text) is 'Whether a text may have system_message tags, or may end with the beginning of one.';

create or replace function kata_data.holds_system_tag(content text) returns boolean
language sql immutable
as $$
  -- A regular expression takes ten times as long.
  select (strpos(content, '<') > 0 and strpos(lower(content collate "C"), 'system_message') > 0) or kata_data.may_fold(content)
$$;
comment on function kata_data.holds_system_tag(text) is 'Whether a text, or a value as JSON, may have system_message tags.';

create or replace function kata_data.has_bracket(content text) returns boolean
language sql immutable
as $$
  select strpos(content, '<') > 0 or (octet_length(content) > length(content)
    and (strpos(content, E'\uff1c') > 0 or strpos(content, E'\ufe64') > 0 or strpos(content, E'\u226e') > 0))
$$;
comment on function kata_data.has_bracket(text) is 'Whether a text has a bracket that may open a tag: that of ASCII, or one that is folded into it.';

create or replace function kata_data.may_fold(content text) returns boolean
language sql immutable
as $$
  select octet_length(content) > length(content) and kata_data.has_bracket(content)
    and content ~* (E'[\uff1c\ufe64\u226e]|<[\\s/a-z_\\\\]*[^\\x01-\\x7f]' collate "C")
$$;
comment on function kata_data.may_fold(text) is 'Whether a text, or a value as JSON, may have tags that are written with more than ASCII.';

create or replace function kata_data.folded(content text) returns text
language sql immutable
as $$
  -- Outlined letters and digits first, which servers before PostgreSQL 18 do not know. Then marks of letters, and characters that no font
  -- shows: soft hyphens, zero-width ones, marks of direction, variation selectors, tags.
  select lower(regexp_replace(normalize(translate(content, kata_data.outlined_letters(), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'), nfkd), (
      E'[\\x01-\\x08\\x0e-\\x1f\\x7f-\\x9f\u00ad\u0300-\u036f\u0488\u0489\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e'
      '\u2060-\u206f\u20d0-\u20f0\u2800\u3164\ufe00-\ufe0f\ufe20-\ufe2f\ufeff\uffa0\ufff0-\ufffc\U0001bca0-\U0001bca3\U0001d173-\U0001d17a'
      '\U000e0000-\U000e0fff]+') collate "C", '', 'g') collate "C")
$$;
comment on function kata_data.folded(text) is
'A text as tokenizers fold it: letters in their plain form, less marks and invisible characters, in lower case.';

create or replace function kata_data.outlined_letters() returns text
language sql immutable
as $$
  select E'\U0001ccd6\U0001ccd7\U0001ccd8\U0001ccd9\U0001ccda\U0001ccdb\U0001ccdc\U0001ccdd\U0001ccde\U0001ccdf\U0001cce0\U0001cce1'
    '\U0001cce2\U0001cce3\U0001cce4\U0001cce5\U0001cce6\U0001cce7\U0001cce8\U0001cce9\U0001ccea\U0001cceb\U0001ccec\U0001cced'
    '\U0001ccee\U0001ccef\U0001ccf0\U0001ccf1\U0001ccf2\U0001ccf3\U0001ccf4\U0001ccf5\U0001ccf6\U0001ccf7\U0001ccf8\U0001ccf9'
$$;
comment on function kata_data.outlined_letters() is 'The letters and digits that Unicode 16 adds in an outlined style.';

create or replace function kata_data.ends_in_tag(content text) returns boolean
language sql immutable
as $$
  select case
    when not kata_data.has_bracket(content) then false
    -- Most texts end otherwise.
    when ascii(right(content, 1)) between 33 and 126 and strpos('</systemag_', lower(right(content, 1) collate "C")) = 0 then false
    else coalesce(starts_with('system_message', ltrim(substr(kata_data.folded(kata_data.last_piece(content)), 2), E' \t\n\x0b\f\r/')), false)
  end
$$;
comment on function kata_data.ends_in_tag(text) is 'Whether a text ends with the beginning of a system_message tag.';

create or replace function kata_data.last_piece(content text) returns text
language sql immutable
as $$
  select right(content, least(
    nullif(strpos(reverse(content), '<'), 0), nullif(strpos(reverse(content), E'\uff1c'), 0),
    nullif(strpos(reverse(content), E'\ufe64'), 0), nullif(strpos(reverse(content), E'\u226e'), 0)))
$$;
comment on function kata_data.last_piece(text) is 'A text from its last bracket that may open a tag; null without one.';

create or replace function kata_data.escape_last(content text) returns text
language sql immutable
as $$
  select left(content, length(content) - length(p.piece) + 1) || E'\\' || substr(p.piece, 2)
  from (select kata_data.last_piece(content) as piece) p
$$;
comment on function kata_data.escape_last(text) is 'A text with a backslash behind its last bracket that may open a tag.';

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
  return E'<system_message>\n' || kata_data.escape_system_tags(v_text, true) || E'\n</system_message>';
end
$$;
comment on function kata_data.wrapped_system(text, jsonb, bigint, text) is
'A system message after the preamble as text of the user''s turn, in <system_message> tags; null if it is blank. KC022.';
