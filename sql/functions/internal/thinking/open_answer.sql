-- A later body changes the end of this one beside calls without result: white space, and calls of the provider's own tools.

create or replace function kata_data.is_open_answer(rows kata_data.prompt_row[], group_version bigint) returns boolean
language sql stable
as $$
  select coalesce(bool_or(
    r.content is distinct from rtrim(r.content, kata_data.white_space())
    or r.parts #>> '{-1,type}' in ('thinking', 'redacted_thinking')
    or r.parts @? '$[*] ? (@.type == "server_tool_use")'), false)
  from unnest(rows) r
  where r.group_version = is_open_answer.group_version
    and r.role = 'assistant'
    and r.tool_calls is null
    and r.kind not in ('summary', 'recalled')
$$;
comment on function kata_data.is_open_answer(kata_data.prompt_row[], bigint) is
'Whether a later body may change the end of an answer that is the last of some rows: what they become is then not a prefix of that.';
