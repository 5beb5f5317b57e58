-- How a digest quotes texts: content that an agent has read must not pass for the words of the digest.

create or replace function kata_data.code_fenced(content text) returns text
language sql immutable
as $$
  select concat(f.fence, E'\n', content, E'\n', f.fence)
  from (
    select repeat('`', greatest(3, 1 + coalesce(max(length(r.run[1])), 0))) as fence
    from regexp_matches(content, '`+', 'g') r(run)
  ) f
$$;
comment on function kata_data.code_fenced(text) is
'A text word for word, between fences that it cannot close.

The fences have more backticks than the text has in a row, so no line of it passes for a line of the digest.';

create or replace function kata_data.indented(content text) returns text
language sql immutable
as $$
  -- \x0b is the vertical tab: not every server knows it as \v.
  select regexp_replace(content, E'(\r\n|[\n\x0b\f\r\u0085\u2028\u2029])', E'\\1  ', 'g')
$$;
comment on function kata_data.indented(text) is
'A text word for word, with every line after the first indented.

So none is taken for a line of the digest itself.';
