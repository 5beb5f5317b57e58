-- A later body changes the end of this one beside calls without result: white space, and calls of the provider's own tools.

create or replace function kata_data.has_open_answer(rows kata_data.prompt_row[]) returns boolean
language sql stable
as $$
  select coalesce(bool_or(
    r.content is distinct from rtrim(r.content, kata_data.white_space())
    or r.parts #>> '{-1,type}' in ('thinking', 'redacted_thinking')
    or r.parts @? '$[*] ? (@.type == "server_tool_use")'), false)
  from unnest(rows) r
  where r.kind = 'message'
    and r.role = 'assistant'
    and r.tool_calls is null
    and r.place = (select max(l.place) from unnest(rows) l)
$$;
comment on function kata_data.has_open_answer(kata_data.prompt_row[]) is
'Whether the last of some rows is an answer whose end a later body may change: what they become is then not a prefix of that.';
