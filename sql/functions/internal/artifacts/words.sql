-- Classifies a word in free text: a path, a URL without its scheme, an identifier, or a secret.

create or replace function kata_data.word_is_file(word text) returns boolean
language sql immutable
as $$
  select case
    when position('/' in word) = 0 then
      word = any (kata_data.file_names())
      or (split_part(word, '.', -1) = any (kata_data.file_endings())
        and split_part(word, '.', 1) <> all (kata_data.object_names())
        and word ~ E'^[\\w.@+-]*[[:alpha:]_][\\w@+-]*\\w\\.\\w+$' collate kata_data.c_utf8)
    when position('//' in word) > 0 or left(word, 5) = '/dev/' then false
    when left(word, 1) in ('/', '~') or left(word, 2) in ('./', '..') then
      word ~ E'^(~|\\.{1,2}(/\\.{1,2})*)?/[\\w.@+-]*[[:alpha:]][\\w.@+-]*(/|\\.[a-z][a-z0-9]*$)|^(~|\\.{1,2})/[\\w.@+-]+' collate kata_data.c_utf8
    else word ~ E'^[\\w.@+~-]+(/[\\w.@+~-]+)*/[\\w.@+~-]*[\\w-]\\.[a-z][a-z0-9]*$' collate kata_data.c_utf8
      or split_part(word, '/', 2) <> '' and split_part(word, '/', 1) = any (kata_data.top_folders())
      or left(word, 1) = '.' and word ~ E'^\\.[a-z]+/[\\w.@+~-]' collate kata_data.c_utf8
      or split_part(word, '/', 3) <> '' and word ~ E'^[\\w.@+~-]*[[:alpha:]]{2}[\\w.@+~-]*(/[\\w.@+~-]*[[:alpha:]]{2}[\\w.@+~-]*){2,}/?$' collate kata_data.c_utf8
  end
$$;
comment on function kata_data.word_is_file(text) is 'Whether a word is a path, or the name of a file with a known ending.';

create or replace function kata_data.word_is_url(word text) returns boolean
language sql immutable
as $$
  select split_part(split_part(word, '/', 1), '.', -1) = any (kata_data.host_endings()) and word ~ E'^[\\w-]+(\\.[\\w-]+)+/' collate kata_data.c_utf8
$$;
comment on function kata_data.word_is_url(text) is 'Whether a word that reads as a path begins with the name of a host: github.com/a/b.';

create or replace function kata_data.word_is_id(word text) returns boolean
language sql immutable
as $$
  select case
    when length(word) not between 5 and 100 then false
    when position('@' in word) > 0 then word ~ E'^[\\w.+-]+@[\\w-]+(\\.[\\w-]+)+$' collate kata_data.c_utf8
    when word !~ '^[A-Za-z0-9_-]*[0-9][A-Za-z0-9_-]*$' or kata_data.word_is_secret(word) then false
    when lower(word collate kata_data.c_utf8) ~ kata_data.no_id_pattern() collate kata_data.c_utf8 then false
    when length(word) > 64 then false
    when word ~ kata_data.id_pattern() collate kata_data.c_utf8 then true
    when word ~ '[_-]' and word ~ '[0-9]{3}' then true
    when word in (lower(word collate kata_data.c_utf8), upper(word collate kata_data.c_utf8)) then false
    -- Mixed case: cus_9s6XKzkNRiz8i3.
    else length(translate(word, '0123456789', '')) <= length(word) - 3
      and length(word) - coalesce(length(substring(word from '^(.*[_-])')), 0) >= 8
  end
$$;
comment on function kata_data.word_is_id(text) is
'Whether a word has the form of an identifier.

A UUID, a hash, a code of capitals and digits, a name with a number, an e-mail address.';

create or replace function kata_data.word_is_secret(word text) returns boolean
language sql immutable
as $$
  select word collate "C" ~ kata_data.secret_form_pattern()
    -- A secret key of AWS has no prefix: 40 characters, of every class.
    or length(word) = 40 and word ~ '^[A-Za-z0-9/+]*$' and word ~ '[a-z]' and word ~ '[A-Z]' and word ~ '[0-9]'
$$;
comment on function kata_data.word_is_secret(text) is 'Whether a word looks like a key or token that grants access. Such words are not indexed.';

create or replace function kata_data.without_secrets(body text) returns text
language sql immutable
as $$
  select regexp_replace(
    regexp_replace(
      case when position('://' in body) > 0 then regexp_replace(body, E'://[^/@\\s"'']*@' collate kata_data.c_utf8, '://', 'g') else body end collate "C",
      kata_data.told_secret_pattern(), E'\\1***', 'gi'),
    kata_data.secret_form_pattern(), '***', 'g')
$$;
comment on function kata_data.without_secrets(text) is
'A text with *** for each value that grants access, and addresses without credentials.

The words before a value show that, or the form of the value.';

create or replace function kata_data.shown_arguments(arguments text) returns text
language sql immutable
as $$
  select left(
    regexp_replace(
      kata_data.without_secrets(left(arguments, 2000)),
      E'\\m(?=[a-z0-9/+]{0,39}[A-Z])(?=[A-Z0-9/+]{0,39}[a-z])(?=[A-Za-z/+]{0,39}[0-9])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+._-])' collate kata_data.c_utf8,
      '***', 'g'),
    200)
$$;
comment on function kata_data.shown_arguments(text) is 'The first 200 characters of a call''s arguments, without secrets.';
