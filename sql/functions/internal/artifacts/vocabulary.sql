-- The vocabulary of the parser: lists and patterns, each a constant with a name. The planner folds a call of one into the constant
-- itself, so a list here costs what it would cost if it were written out where it is used.

create or replace function kata_data.file_endings() returns text[]
language sql immutable
as $$
  select array[
    'py', 'pyi', 'ipynb', 'js', 'jsx', 'mjs', 'cjs', 'ts', 'tsx', 'json', 'jsonl', 'yml', 'yaml', 'toml', 'ini', 'cfg', 'conf',
    'env', 'md', 'mdx', 'rst', 'txt', 'log', 'csv', 'tsv', 'parquet', 'xml', 'htm', 'html', 'css', 'scss', 'less', 'svg', 'png',
    'jpg', 'jpeg', 'gif', 'webp', 'pdf', 'doc', 'docx', 'xls', 'xlsx', 'ppt', 'pptx', 'zip', 'tar', 'gz', 'tgz', 'bz2', 'whl', 'jar',
    'java', 'kt', 'kts', 'scala', 'gradle', 'go', 'mod', 'rs', 'c', 'h', 'cc', 'cpp', 'cxx', 'hpp', 'cs', 'vb', 'swift', 'rb',
    'gemspec', 'php', 'pl', 'lua', 'jl', 'sql', 'db', 'sqlite', 'sqlite3', 'sh', 'bash', 'zsh', 'ps1', 'bat', 'exe', 'dll', 'dylib',
    'proto', 'graphql', 'tf', 'tfvars', 'patch', 'diff', 'tex', 'bib', 'vue', 'svelte', 'dart', 'ex', 'exs', 'erl', 'hs', 'ml',
    'clj', 'el', 'cmake', 'lock', 'in']
$$;
comment on function kata_data.file_endings() is 'The endings that make a word without a slash the name of a file.';

create or replace function kata_data.file_names() returns text[]
language sql immutable
as $$
  select array[
    '.env', '.gitignore', '.gitattributes', '.gitmodules', '.dockerignore', '.editorconfig', '.npmrc', '.nvmrc', '.bashrc', '.zshrc',
    '.profile']
$$;
comment on function kata_data.file_names() is 'The names of files that consist of a dot and an ending.';

create or replace function kata_data.object_names() returns text[]
language sql immutable
as $$
  select array['self', 'this', 'cls', 'os', 'np', 'df', 're', 'e', 'i']
$$;
comment on function kata_data.object_names() is 'What comes before the dot in program text, never in the name of a file: self.log is not a file.';

create or replace function kata_data.top_folders() returns text[]
language sql immutable
as $$
  select array[
    'src', 'lib', 'test', 'tests', 'doc', 'docs', 'app', 'apps', 'packages', 'pkg', 'bin', 'etc', 'usr', 'var', 'tmp', 'opt', 'home',
    'include', 'script', 'scripts', 'config', 'example', 'examples', 'node_modules', 'dist', 'build', 'public', 'static', 'assets',
    'components', 'internal', 'cmd', 'sql', 'migrations']
$$;
comment on function kata_data.top_folders() is 'The folders that a relative path may begin with: what follows one of them needs no known ending.';

create or replace function kata_data.dependency_pattern() returns text
language sql immutable
as $$
  select E'^(.*?(?:^|[/\\\\])(?:node_modules|bower_components|site-packages|dist-packages|__pycache__|\\.git|\\.hg|\\.svn|\\.venv|\\.tox|\\.nox'
    || E'|\\.mypy_cache|\\.pytest_cache|\\.ruff_cache|\\.gradle|\\.cargo|\\.next|\\.nuxt|\\.yarn|\\.pnpm|\\.terraform))[/\\\\]'
$$;
comment on function kata_data.dependency_pattern() is 'A path below a folder of what others wrote or tools made, and that folder, captured.';

create or replace function kata_data.listed_path_pattern() returns text
language sql immutable
as $$
  select E'^[ \\t]*(?:[bcdlps-][rwxsStT-]{9}[.+@]?(?: +[^ ]+){6,7} +)?([^ \\t\\r:|]*[./][^ \\t\\r:|]*)(?::[0-9]+:.*)?[ \\t\\r]*$'
$$;
comment on function kata_data.listed_path_pattern() is
'A line that is a path, captured, in the output of a command: alone, behind what ls prints of it, or before a line that grep found.';

create or replace function kata_data.host_endings() returns text[]
language sql immutable
as $$
  select array['com', 'org', 'net', 'io', 'dev', 'ai', 'gov', 'edu']
$$;
comment on function kata_data.host_endings() is 'The top-level domains that make what comes before a slash a host, not a folder.';

create or replace function kata_data.file_keys() returns text[]
language sql immutable
as $$
  select array['file', 'files', 'path', 'paths', 'filename', 'filenames', 'filepath']
$$;
comment on function kata_data.file_keys() is 'The last words of keys in JSON whose values are paths.';

create or replace function kata_data.id_keys() returns text[]
language sql immutable
as $$
  select array[
    'id', 'ids', 'uuid', 'uuids', 'guid', 'guids', 'number', 'numbers', 'code', 'codes', 'hash', 'hashs', 'sha', 'shas', 'commit',
    'commits', 'ref', 'refs', 'reference', 'references', 'slug', 'slugs', 'sku', 'skus', 'username', 'usernames', 'login', 'logins',
    'email', 'emails', 'iban', 'ibans']
$$;
comment on function kata_data.id_keys() is 'The last words of keys in JSON whose values are identifiers.';

create or replace function kata_data.command_keys() returns text[]
language sql immutable
as $$
  select array['command', 'commands', 'cmd', 'script', 'bash', 'shell', 'input']
$$;
comment on function kata_data.command_keys() is 'The keys of a call''s arguments whose values are shell commands.';

create or replace function kata_data.other_key_pattern() returns text
language sql immutable
as $$
  select '(^|[_-])'
    || '(line|page|status|exit|return|error|country|currency|language|lang|zip|postal|row|column|col|port|phone|house|room|seat)'
    || '[_-]?(number|no|code|id)s?$'
$$;
comment on function kata_data.other_key_pattern() is 'Keys in JSON that end as those of identifiers do, and name something else: exit_code.';

create or replace function kata_data.secret_key_pattern() returns text
language sql immutable
as $$
  select '(token|secret|passw|passphrase|(^|_)pwd$|(api|access|account|private|secret)_?key|credential|authorization|signature|cookie|(^|_)cv[vc]$'
    || '|card_?number)'
$$;
comment on function kata_data.secret_key_pattern() is 'Keys in JSON whose values grant access.';

create or replace function kata_data.told_secret_pattern() returns text
language sql immutable
as $$
  select E'((?:(?:passw(?:or)?d|passphrase|pwd|secret|token|(?:api|access|account|private|secret)[_-]?key|credential|authorization|signature|sig'
    || E'|cookie|auth|cvv|cvc)s?[\\\\"'']{0,4} *(?::|=>?) *[\\\\"'']{0,4}(?:(?:bearer|basic|token|bot) +)?'
    || E'|(?:--?[a-z-]*(?:password|token|secret|key)|secret_access_key|bearer|identified by) +[\\\\"'']{0,2}))'
    || E'[^\\s"''&;,\\\\/~.$<{(*[][^\\s"''&;,\\\\]{3,}'
$$;
comment on function kata_data.told_secret_pattern() is 'A value that grants access, and before it, captured, the words that show so: password=, Bearer.';

create or replace function kata_data.secret_form_pattern() returns text
language sql immutable
as $$
  select E'\\m(?:(?:sk|rk|pk)[_-](?:live|test|proj|ant|svcacct|admin|or)[_-]|sk-|whsec_|shp(?:at|ss|ca|pa)_|gh[opsur]_|github_pat_'
    || E'|gl(?:pat|rt|sa|dt)[-_]|xox[a-z]-|xapp-|AIza|GOCSPX-|ya29[.]|SG[.]|npm_|pypi-AgE|hf_|eyJ|do[opr]_v1_|hv[sb][.]|lin_api_|figd_|PMAK-'
    || E'|nvapi-|gsk_|r8_|dp[.][ps]t[.]|sntry[su]_|ATATT|tskey-|rubygems_|AGE-SECRET-KEY-1|dckr_pat_)(?=[A-Za-z_.-]{0,40}[0-9])[A-Za-z0-9_.=/+-]{12,}'
    || E'|\\m(?:AKIA|ASIA)[A-Z0-9]{12,}|\\m(?:SK|dapi|key-)[0-9a-f]{32}\\M|\\m[0-9]{8,10}:[A-Za-z0-9_-]{30,}'
    || E'|hooks[.]slack[.]com/services/[A-Za-z0-9/]+|/api/webhooks/[0-9]+/[A-Za-z0-9_-]+'
    || E'|-----BEGIN [A-Z ]*PRIVATE KEY[^-]*-----[^-]*'
    || E'|\\m(?:4[0-9]{3}|5[1-5][0-9]{2}|6011)[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}\\M|\\m3[47][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{5}\\M'
$$;
comment on function kata_data.secret_form_pattern() is
'Keys, tokens and numbers of cards that grant access, as their form shows.

Prefixes of services, private keys, addresses of hooks.';

create or replace function kata_data.word_pattern() returns text
language sql immutable
as $$
  select E'[\\w./@+~-]*'
    || '(?:'
    || E'(?:[0-9/]|\\.[\\w-])[\\w./@+~-]*[[:alpha:]_]'
    || E'|[[:alpha:]_][\\w./@+~-]*(?:[0-9/]|\\.[\\w-])'
    || ')'
    || E'[\\w./@+~-]*'
$$;
comment on function kata_data.word_pattern() is
'Words worth a look: with a letter, and with a digit, a slash or a dot inside, in either order.';

create or replace function kata_data.no_id_pattern() returns text
language sql immutable
as $$
  select '^('
    || '[0-9-]+'
    || '|[0-9]{4}-[0-9]{2}-.*'
    || '|l(ine)?[0-9]+'
    || '|[0-9]+([kmgt]?b|ms|us|ns|px|am|pm|st|nd|rd|th|[kmxs])'
    || '|0x.*'
    || '|(sha|utf|u?int|float|base|http|ipv|win|md|aes|rsa|iso|rfc|pep|x)[_-]?[0-9]+([_-][0-9]*)?'
    || ')$'
$$;
comment on function kata_data.no_id_pattern() is
'Words with a digit that are not identifiers.

Numbers, dates, line numbers, sizes and times, addresses of memory, names of algorithms.';

create or replace function kata_data.id_pattern() returns text
language sql immutable
as $$
  select '^('
    || '[A-Z0-9]+'
    || '|[A-Z][A-Z0-9]+-[0-9]+'
    || '|[0-9a-f]{7}[0-9a-f]*'
    || '|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F-]+'
    || ')$'
$$;
comment on function kata_data.id_pattern() is 'Words that are identifiers by their form: codes of capitals, PROJ-123, hashes, UUIDs.';

create or replace function kata_data.introduced_id_pattern() returns text
language sql immutable
as $$
  select '(rder|icket|nvoice|ase|ssue|PR|ooking|eservation|onfirmation|ccount|ustomer|ser|ard|ertificate|ransaction|ayment|racking'
    || '|eference|light|hipment|[Ii][Dd])s?'
    || '( ([Ii][Dd]|[Nn]umber|[Cc]ode|[Nn]o))?( is)?'
    || '[ :#*`"]+([0-9]+|[A-Z]{6})$'
$$;
comment on function kata_data.introduced_id_pattern() is
'An identifier that only the words before it make one: order 12345, Booking code is ABCDEF.';

create or replace function kata_data.drive_pattern() returns text
language sql immutable
as $$
  select E'(?:\\m[A-Za-z]:[\\\\/]+|\\\\\\\\+[\\w.$-]+\\\\+)[\\w.@+~$-]+(?:[\\\\/]+[\\w.@+~$-]+)*'
$$;
comment on function kata_data.drive_pattern() is 'A path of Windows: one that begins with a drive, or with the name of a server.';
