-- References in free text, found by their form alone: URLs, words that may be paths or identifiers, codes behind words such as "order".

create or replace function kata_data.urls_in(body text) returns table (url text)
language sql immutable
as $$
  select rtrim(u.match[1], '.,:;!?*_~''')
  from regexp_matches(body, E'((?:https?|ftp|wss?|s3|gs|ssh|git)://[^\\s"<>`\\\\)\\]}|]+)' collate kata_data.c_utf8, 'g') with ordinality u(match, ordinality)
  where u.ordinality <= 5000
$$;
comment on function kata_data.urls_in(text) is 'The URLs in a text, the first 5,000, without the punctuation behind them.';


create or replace function kata_data.drive_paths_in(body text) returns table (path text)
language sql immutable
as $$
  -- A backslash that is escaped is one; a server has two in front.
  select rtrim(
    case when left(c.match[1], 1) = E'\\' then E'\\' else '' end || regexp_replace(c.match[1], E'\\\\+', E'\\\\', 'g'), '.-')
  from regexp_matches(body, '(' || kata_data.drive_pattern() || ')' collate kata_data.c_utf8, 'g') with ordinality c(match, ordinality)
  where c.ordinality <= 5000
$$;
comment on function kata_data.drive_paths_in(text) is 'The paths of Windows in a text, the first 5,000.';

create or replace function kata_data.file_urls_in(body text) returns table (path text)
language sql immutable
as $$
  select kata_data.plain_path(rtrim(c.match[1], '.,:;!?'))
  from regexp_matches(body, E'(file://[^\\s"<>`)\\]}|]+)' collate kata_data.c_utf8, 'g') with ordinality c(match, ordinality)
  where c.ordinality <= 5000
$$;
comment on function kata_data.file_urls_in(text) is 'The paths in the addresses of files in a text, the first 5,000.';

create or replace function kata_data.without_urls(body text) returns text
language sql immutable
as $$
  select regexp_replace(body, E'[a-z0-9+]+://[^\\s"<>`\\\\)\\]}|]+' collate kata_data.c_utf8, ' ', 'g')
$$;
comment on function kata_data.without_urls(text) is 'A text with a space for each URL, so that its parts are not taken for words.';

create or replace function kata_data.may_be_patch(body text) returns boolean
language sql immutable
as $$
  select position('--- ' in body) > 0 or position('diff --git a/' in body) > 0 or position(' File: ' in body) > 0
$$;
comment on function kata_data.may_be_patch(text) is 'Whether a text may hold a patch: cheaper than its patterns, which most texts do not need.';

create or replace function kata_data.without_patch_heads(body text) returns text
language sql immutable
as $$
  select case
    when position('--- a/' in body) > 0 or position('diff --git a/' in body) > 0 then
      regexp_replace(body, E'(^|\\n)(diff --git |--- |\\+\\+\\+ )[^\\n]*', E'\\1', 'g')
    else body
  end
$$;
comment on function kata_data.without_patch_heads(text) is
'A text without the heads of its patches, whose paths have a prefix; patch_files reads them.';

create or replace function kata_data.words_in(body text) returns table (word text)
language sql immutable
as $$
  -- \n and \t spelled out are not letters.
  select rtrim(ltrim(c.match[1], '@+-'), '.@+~-')
  from regexp_matches(
    case position(E'\\' in body) when 0 then body else regexp_replace(body, E'\\\\[nrt]', ' ', 'g') end,
    kata_data.word_pattern(), 'g') with ordinality c(match, ordinality)
  where c.ordinality <= 20000
$$;
comment on function kata_data.words_in(text) is 'The words in a text that may be paths or identifiers, the first 20,000.';

create or replace function kata_data.introduced_ids_in(body text) returns table (id text)
language sql immutable
as $$
  -- Not TICKET of TICKET-4711, which is an identifier by its form.
  select substring(c.match[1] from '[0-9A-Za-z]+$')
  from regexp_matches(body, '[A-Za-z ]*[A-Za-z][ :#*`"]+(?:[0-9]{4}[0-9A-Za-z]*|[A-Z]{6}[0-9A-Za-z]*(?:-[0-9])?)', 'g') c(match)
  where body ~ '[ :#*`"](?:[0-9]{4}|[A-Z]{6})'
    and c.match[1] ~ kata_data.introduced_id_pattern() collate kata_data.c_utf8
$$;
comment on function kata_data.introduced_ids_in(text) is 'The numbers and words in a text that are identifiers only by the words before them.';

create or replace function kata_data.issue_numbers_in(body text) returns table (id text)
language sql immutable
as $$
  select c.match[1]
  from regexp_matches(body, E'(?:^|[\\s(\\[])(#\\w+)' collate kata_data.c_utf8, 'g') c(match)
  where position('#' in body) > 0
    and c.match[1] ~ '^#[0-9]{1,8}$'
$$;
comment on function kata_data.issue_numbers_in(text) is 'The numbers of issues in a text: #123.';
