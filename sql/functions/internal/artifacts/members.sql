-- Classifies the members of JSON objects by their keys, or else by their values.

create or replace function kata_data.meaning_of_key(key text) returns text
language plpgsql immutable
as $$
declare
  -- orderId reads as order_id.
  v_key text := case when key = lower(key collate kata_data.c_utf8) then key else lower(regexp_replace(key, '([a-z])([A-Z])', E'\\1_\\2', 'g') collate kata_data.c_utf8) end;
  v_last text := split_part(translate(v_key, '-', '_'), '_', -1);
begin
  return case
    when v_key ~ kata_data.secret_key_pattern() collate kata_data.c_utf8 then 'secret'
    when v_last ~ '(number|no|code|id)s?$' and v_key ~ kata_data.other_key_pattern() collate kata_data.c_utf8 then 'other'
    when v_last = any (kata_data.file_keys()) or v_key ~ '(^|[_-])file_name$' then 'file'
    when v_last = any (kata_data.id_keys()) then 'id'
    when v_key = any (kata_data.command_keys()) then 'command'
  end;
end
$$;
comment on function kata_data.meaning_of_key(text) is
'What a key in JSON says of its values: id, file, command, secret or other; null if nothing.

secret: not to be shown. other: none of these, although the key looks like one.';

create or replace function kata_data.value_is_id(value text, by_form boolean) returns boolean
language sql immutable
as $$
  select length(value) <= 128
    and value ~ E'^[^\\s{}\\[\\]/\\\\"]*[[:alnum:]][^\\s{}\\[\\]/\\\\"]*$' collate kata_data.c_utf8
    and not kata_data.word_is_secret(value)
    and case
      when by_form then length(value) between 5 and 64 and value ~ '^[A-Z0-9_-]*[A-Z][A-Z0-9_-]*$'
      else value !~ '^[0-9]+[.][0-9]+$'
    end
$$;
comment on function kata_data.value_is_id(text, boolean) is
'Whether a value in JSON is an identifier.

by_form: the value is an element of an array, and only its form decides; else the key has said so.';

create or replace function kata_data.value_is_path(value text) returns boolean
language sql immutable
as $$
  select length(value) <= 500 and value ~ E'^([A-Za-z]:[\\\\/]|file://)?[^\\s:][^\n:*?"<>|]*$' collate kata_data.c_utf8 and value ~ '[[:alpha:]]' collate kata_data.c_utf8
$$;
comment on function kata_data.value_is_path(text) is 'Whether a value under a key of files is a path, not a text or a URL.';

create or replace function kata_data.without_dependency(path text) returns text
language sql immutable
as $$
  select coalesce(substring(path from kata_data.dependency_pattern()), path)
$$;
comment on function kata_data.without_dependency(text) is
'A path that a text names, or the folder of dependencies that it is in: thousands of their files would hide the others.';

create or replace function kata_data.plain_path(path text) returns text
language sql immutable
as $$
  select case
    when left(path, 7) = 'file://' then replace(regexp_replace(path, E'^file://(localhost)?(/(?=[A-Za-z]:))?', ''), '%20', ' ')
    else regexp_replace(path, E'^(\\./)+', '')
  end
$$;
comment on function kata_data.plain_path(text) is 'A path without the ./ that it may begin with, or the scheme that makes it an address.';
