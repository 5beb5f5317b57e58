-- The block of recalled messages in a prompt: one message of the user, for the words in it are those of users and tools, too, and must not
-- pass for the system's. Its text is escaped, so that nothing in it closes a tag or opens one. A long result is cut after a number of
-- characters, so that the cut does not depend on a tokenizer.

create or replace function kata_data.recalled_block(rows kata_data.prompt_row[]) returns kata_data.prompt_row
language plpgsql stable
as $$
declare
  v_block kata_data.prompt_row;
begin
  select E'<recalled>\n' || string_agg(kata_data.recalled_element(r.version, r.role, r.name, r.created_at,
      kata_data.recalled_words(kata_data.recalled_text(r.role, r.content, r.parts), r.tool_calls)), '' order by r.version) || '</recalled>',
    min(r.place)
  into v_block.content, v_block.place
  from unnest(rows) r
  where r.kind = 'recalled';
  v_block.role := 'user';
  v_block.kind := 'recalled';
  v_block.version := 0;
  v_block.group_version := 0;
  return v_block;
end
$$;
comment on function kata_data.recalled_block(kata_data.prompt_row[]) is 'The recalled rows among some as one that holds them all; without content where there are none.';

create or replace function kata_data.recalled_text(role text, content text, parts jsonb) returns text
language sql immutable
as $$
  select case when t.role = 'tool' and length(t.text) > 800 then left(t.text, 800) || ' […]' else t.text end
  from (select recalled_text.role, case when kata_data.has_elements(parts) then kata_data.parts_text(parts) else content end as text) t
$$;
comment on function kata_data.recalled_text(text, text, jsonb) is 'The text of a recalled message. Only text comes; a long result is cut.';

create or replace function kata_data.recalled_element(version bigint, role text, name text, created_at timestamptz, words text) returns text
language sql stable
as $$
  select format(E'<message version="%s" role="%s"%s at="%s">\n%s\n</message>\n', version, role,
    case when name <> '' then format(' name="%s"', kata_data.escaped(name)) end,
    to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"'), kata_data.escaped(words))
$$;
comment on function kata_data.recalled_element(bigint, text, text, timestamptz, text) is 'A message of the block of recalled messages.';

create or replace function kata_data.recalled_words(content text, tool_calls jsonb) returns text
language sql immutable
as $$
  select concat_ws(E'\n', nullif(content, ''), case when tool_calls is not null then (
    select string_agg(
      format('%s(%s)', kata_data.call_name(c.call), kata_data.call_arguments(c.call)), E'\n'
      order by c.ordinality)
    from jsonb_array_elements(tool_calls) with ordinality c(call, ordinality)) end)
$$;
comment on function kata_data.recalled_words(text, jsonb) is 'What a recalled message says: its text, then its calls, one per line.';

create or replace function kata_data.escaped(content text) returns text
language sql immutable
as $$
  select replace(replace(replace(content, '&', '&amp;'), '<', '&lt;'), '"', '&quot;')
$$;
comment on function kata_data.escaped(text) is 'A text that opens no tag and closes no attribute.';
