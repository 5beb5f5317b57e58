-- A later body changes the end of this one beside calls without result: white space, and calls of the provider's own tools.

create or replace function kata_data.ends_openly(content text, parts jsonb) returns boolean
language sql immutable
as $$
  -- Inlined: a query of its own over the rows takes as long as a tenth of a request of 2,000 tokens.
  select coalesce(
    content is distinct from rtrim(content, kata_data.white_space())
    or parts #>> '{-1,type}' in ('thinking', 'redacted_thinking')
    or parts @? '$[*] ? (@.type == "server_tool_use")', false)
$$;
comment on function kata_data.ends_openly(text, jsonb) is
'Whether a later body may change the end of an answer that is the last of some rows: what they become is then not a prefix of that.';
