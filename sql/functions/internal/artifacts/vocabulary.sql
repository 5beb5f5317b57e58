-- Vocabulary: what a word, a key, a value or the name of a tool is taken for.

create or replace function kata_data.word_is_file(word text) returns boolean
language sql immutable
as $$
  select case
    when position('/' in word) = 0 then
      word in ('.env', '.gitignore', '.gitattributes', '.gitmodules', '.dockerignore', '.editorconfig', '.npmrc', '.nvmrc', '.bashrc', '.zshrc', '.profile')
      or (split_part(word, '.', -1) in (
          'py', 'pyi', 'ipynb', 'js', 'jsx', 'mjs', 'cjs', 'ts', 'tsx', 'json', 'jsonl', 'yml', 'yaml', 'toml', 'ini', 'cfg', 'conf',
          'env', 'md', 'mdx', 'rst', 'txt', 'log', 'csv', 'tsv', 'parquet', 'xml', 'htm', 'html', 'css', 'scss', 'less', 'svg', 'png',
          'jpg', 'jpeg', 'gif', 'webp', 'pdf', 'doc', 'docx', 'xls', 'xlsx', 'ppt', 'pptx', 'zip', 'tar', 'gz', 'tgz', 'bz2', 'whl', 'jar',
          'java', 'kt', 'kts', 'scala', 'gradle', 'go', 'mod', 'rs', 'c', 'h', 'cc', 'cpp', 'cxx', 'hpp', 'cs', 'vb', 'swift', 'rb',
          'gemspec', 'php', 'pl', 'lua', 'jl', 'sql', 'db', 'sqlite', 'sqlite3', 'sh', 'bash', 'zsh', 'ps1', 'bat', 'exe', 'dll', 'dylib',
          'proto', 'graphql', 'tf', 'tfvars', 'patch', 'diff', 'tex', 'bib', 'vue', 'svelte', 'dart', 'ex', 'exs', 'erl', 'hs', 'ml',
          'clj', 'el', 'cmake', 'lock', 'in')
        and split_part(word, '.', 1) not in ('self', 'this', 'cls', 'os', 'np', 'df', 're', 'e', 'i')
        and word ~ '^[\w.@+-]*[[:alpha:]_][\w@+-]*\w\.\w+$')
    when position('//' in word) > 0 or left(word, 5) = '/dev/' then false
    when left(word, 1) in ('/', '~') or left(word, 2) in ('./', '..') then
      word ~ '^(~|\.{1,2}(/\.{1,2})*)?/[\w.@+-]*[[:alpha:]][\w.@+-]*(/|\.[a-z][a-z0-9]*$)|^(~|\.{1,2})/[\w.@+-]+'
    else word ~ '^[\w.@+~-]+(/[\w.@+~-]+)*/[\w.@+~-]*[\w-]\.[a-z][a-z0-9]*$'
      or split_part(word, '/', 2) <> '' and split_part(word, '/', 1) in (
          'src', 'lib', 'test', 'tests', 'doc', 'docs', 'app', 'apps', 'packages', 'pkg', 'bin', 'etc', 'usr', 'var', 'tmp', 'opt', 'home',
          'include', 'script', 'scripts', 'config', 'example', 'examples', 'node_modules', 'dist', 'build', 'public', 'static', 'assets',
          'components', 'internal', 'cmd', 'sql', 'migrations')
      or left(word, 1) = '.' and word ~ '^\.[a-z]+/[\w.@+~-]'
      or split_part(word, '/', 3) <> '' and word ~ '^[\w.@+~-]*[[:alpha:]]{2}[\w.@+~-]*(/[\w.@+~-]*[[:alpha:]]{2}[\w.@+~-]*){2,}/?$'
  end
$$;
comment on function kata_data.word_is_file(text) is 'Whether a word is a path, or a file name with an ending that is known.';

create or replace function kata_data.word_is_id(word text) returns boolean
language sql immutable
as $$
  select case
    when length(word) not between 5 and 100 then false
    when position('@' in word) > 0 then word ~ '^[\w.+-]+@[\w-]+(\.[\w-]+)+$'
    when word !~ '^[A-Za-z0-9_-]*[0-9][A-Za-z0-9_-]*$' or kata_data.word_is_secret(word) then false
    -- Numbers and dates, line numbers, sizes, addresses of memory, names of algorithms.
    when lower(word) ~ '^([0-9-]+|[0-9]{4}-[0-9]{2}-.*|l(ine)?[0-9]+|[0-9]+([kmgt]?b|ms|us|ns|px|am|pm|st|nd|rd|th|[kmxs])|0x.*|(sha|utf|u?int|float|base|http|ipv|win|md|aes|rsa|iso|rfc|pep|x)[_-]?[0-9]+([_-][0-9]*)?)$'
      then false
    when length(word) > 64 then false
    -- Codes of capitals, PROJ-123, hashes, UUIDs.
    when word ~ '^([A-Z0-9]+|[A-Z][A-Z0-9]+-[0-9]+|[0-9a-f]{7}[0-9a-f]*|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F-]+)$' then true
    when word ~ '[_-]' and word ~ '[0-9]{3}' then true
    when word in (lower(word), upper(word)) then false
    -- Mixed case: cus_9s6XKzkNRiz8i3.
    else length(translate(word, '0123456789', '')) <= length(word) - 3
      and length(word) - coalesce(length(substring(word from '^(.*[_-])')), 0) >= 8
  end
$$;
comment on function kata_data.word_is_id(text) is 'Whether a word has the form of an identifier: a UUID, a hash, a code of capitals and digits, a name with a number, an e-mail address.';

create or replace function kata_data.word_is_secret(word text) returns boolean
language sql immutable
as $$
  select word ~ '^((sk|rk|pk)[_-]|gh[opsu]_|github_pat_|glpat-|xox[a-z]-|AKIA|ASIA|AIza|eyJ|npm_|hf_)'
$$;
comment on function kata_data.word_is_secret(text) is 'Whether a word looks like a key or token that grants access: these are not indexed.';

create or replace function kata_data.meaning_of_key(key text) returns text
language plpgsql immutable
as $$
declare
  -- orderId reads as order_id.
  v_key text := case when key = lower(key) then key else lower(regexp_replace(key, '([a-z])([A-Z])', '\1_\2', 'g')) end;
  v_last text := split_part(translate(v_key, '-', '_'), '_', -1);
begin
  return case
    when v_key ~ '(token|secret|password|api_?key|credential|authorization|signature)' then 'secret'
    when v_last ~ '(number|no|code|id)s?$'
      and v_key ~ '(^|[_-])(line|page|status|exit|return|error|country|currency|language|lang|zip|postal|row|column|col|port|phone|house|room|seat)[_-]?(number|no|code|id)s?$' then 'other'
    when v_last in ('file', 'files', 'path', 'paths', 'filename', 'filenames', 'filepath') or v_key ~ '(^|[_-])file_name$' then 'file'
    when v_last in (
        'id', 'ids', 'uuid', 'uuids', 'guid', 'guids', 'number', 'numbers', 'code', 'codes', 'hash', 'hashs', 'sha', 'shas', 'commit',
        'commits', 'ref', 'refs', 'reference', 'references', 'slug', 'slugs', 'sku', 'skus', 'username', 'usernames', 'login', 'logins',
        'email', 'emails', 'iban', 'ibans') then 'id'
    when v_key in ('command', 'commands', 'cmd', 'script', 'bash', 'shell', 'input') then 'command'
  end;
end
$$;
comment on function kata_data.meaning_of_key(text) is
'What a key in JSON says of its values: id, file, command, secret (not to be shown), other (none of these); null if nothing.';

create or replace function kata_data.value_is_id(value text, by_form boolean) returns boolean
language sql immutable
as $$
  select length(value) <= 128
    and value ~ '^[^\s{}\[\]/\\"]*[[:alnum:]][^\s{}\[\]/\\"]*$'
    and not kata_data.word_is_secret(value)
    and case
      when by_form then length(value) between 5 and 64 and value ~ '^[A-Z0-9_-]*[A-Z][A-Z0-9_-]*$'
      else value !~ '^[0-9]+[.][0-9]+$'
    end
$$;
comment on function kata_data.value_is_id(text, boolean) is 'Whether a value in JSON is an identifier: under a key that says so, or, as an element of an array, by its form.';

create or replace function kata_data.tool_changes_files(tool text) returns boolean
language sql immutable
as $$
  select lower(regexp_replace(tool, '([a-z])([A-Z])', '\1_\2', 'g'))
    ~ '(^|[^a-z])(write|edit|create|insert|replace|update|modify|patch|append|save|overwrite|touch|rename|move|mv|copy|cp|delete|remove|unlink|rm)'
$$;
comment on function kata_data.tool_changes_files(text) is 'Whether a tool changes the files that it is given, by its name.';

create or replace function kata_data.change_of_file(tool text, key text, arguments jsonb) returns jsonb
language sql immutable
as $$
  select case
    when not kata_data.tool_changes_files(tool) or arguments ->> 'command' in ('view', 'read', 'open', 'show', 'cat') then null
    when tool ~* '(delete|remove|unlink|(^|_)rm(_|$))' then '{"access": "modified", "deleted": true}'::jsonb
    when tool !~* '(rename|move|copy|(^|_)(mv|cp)(_|$))' then '{"access": "modified"}'
    when key !~* '^(old|source|src|from|path|file)' then '{"access": "modified"}'::jsonb || case
      when tool ~* '(copy|(^|_)cp(_|$))' then '{}'
      else jsonb_strip_nulls(jsonb_build_object('renamed_from', kata_data.argument_like(arguments, '^(old|source|src|from|path|file)')))
    end
    when tool ~* '(copy|(^|_)cp(_|$))' then null
    else jsonb_strip_nulls(jsonb_build_object(
      'access', 'modified', 'deleted', true, 'renamed_to', kata_data.argument_like(arguments, '^(new|dest|dst|target|to)')))
  end
$$;
comment on function kata_data.change_of_file(text, text, jsonb) is 'What becomes of the file under a key of a tool''s arguments; null if it is only read.';

create or replace function kata_data.argument_like(arguments jsonb, pattern text) returns text
language sql immutable
as $$
  select a.value #>> '{}'
  from jsonb_each(case jsonb_typeof(arguments) when 'object' then arguments end) a(key, value)
  where a.key ~* pattern
    and jsonb_typeof(a.value) = 'string'
  order by a.key
  limit 1
$$;
comment on function kata_data.argument_like(jsonb, text) is 'The first string among arguments whose key matches a pattern.';
