-- How a digest quotes texts: what an agent has read must not pass for the words of the digest, and a long text shows where it was cut.

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

create or replace function kata_data.one_line(content text, characters integer) returns text
language sql immutable
as $$
  select case when length(l.line) > characters then left(l.line, characters) || '…' else l.line end
  from (select btrim(regexp_replace(left(content, 10 * characters), E'[\\s\x0b\u0085\u2028\u2029]+' collate kata_data.c_utf8, ' ', 'g')) as line) l
$$;
comment on function kata_data.one_line(text, integer) is 'The beginning of a text in one line, at most so many characters.';

create or replace function kata_data.cut_middle(content text, characters integer) returns text
language sql immutable
as $$
  select case
    when length(content) > characters then format(E'%s\n[%s characters are left out here]\n%s',
      left(content, characters * 2 / 3), length(content) - characters * 2 / 3 - characters / 3, right(content, characters / 3))
    else content
  end
$$;
comment on function kata_data.cut_middle(text, integer) is
'A text, or its beginning and its end with a note between, so that of its own words at most so many characters stay.';

create or replace function kata_data.quoted(entry jsonb, characters integer) returns text
language sql immutable
as $$
  select case when entry is not null then format(E'[version %s]%s%s', entry ->> 'version', ' ' || (entry ->> 'media'),
    E'\n' || kata_data.code_fenced(kata_data.cut_middle(entry ->> 'text', characters))) end
$$;
comment on function kata_data.quoted(jsonb, integer) is
'A message as a digest shows it; null without one.

entry: version, text and media, the last two where there are any. characters: how much of its text is shown.';
