-- The block of recalled messages in a prompt: one message of the user, for the words in it are those of users and tools, too, and must not
-- pass for the system's. Its text is escaped, so that nothing in it closes a tag or opens one.

create or replace function kata_data.with_recalled_block(rows kata_data.window_row[]) returns kata_data.window_row[]
language plpgsql stable
as $$
declare
  v_block kata_data.window_row;
begin
  select E'<recalled>\n' || string_agg(kata_data.recalled_element(r.version, r.role, coalesce(r.name, r.tool_name), r.created_at,
      kata_data.recalled_words(r.content, r.tool_calls)), '' order by r.ordinal) || '</recalled>',
    min(r."position")
  into v_block.content, v_block."position"
  from unnest(rows) r
  where r.reason = 'recalled';
  if v_block.content is null then
    return rows;
  end if;
  v_block.role := 'user';
  v_block.reason := 'recalled';
  -- Like a summary it has a position, that of the message behind it.
  v_block.kind := 'summary';
  v_block.version := 0;
  v_block.group_version := 0;
  return array(select r from unnest(rows) r where r.reason <> 'recalled') || v_block;
end
$$;
comment on function kata_data.with_recalled_block(kata_data.window_row[]) is 'The rows of a window, those that are recalled as one that holds them all.';

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
