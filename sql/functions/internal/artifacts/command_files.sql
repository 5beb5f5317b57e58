-- Files that a shell command names, and what it does to them. The command is split by the rules of the shell: quotes, redirects, here
-- documents, whose lines are data. One pass of a pattern without captures finds the words, so the time is linear.

create or replace function kata_data.command_files(command text) returns table (path text, detail jsonb)
language plpgsql immutable rows 10
as $$
declare
  v_words text[] := '{}'::text[];
  v_redirect text;
  v_comment boolean := false;
  v_token text;
begin
  for v_token in
    select t.match[1] from regexp_matches(kata_data.without_here_documents(command), kata_data.shell_token_pattern() collate kata_data.c_utf8, 'g') t(match) limit 20000
  loop
    if v_token ~ E'^([;&|()]+|\\n)$' then
      return query select s.path, s.detail from kata_data.step_files(v_words) s;
      v_words := '{}';
      v_redirect := null;
      v_comment := v_comment and v_token <> E'\n';
    elsif v_comment or left(v_token, 1) = '#' then
      v_comment := true;
    elsif v_token ~ '^[0-9]*&?[<>]' then
      v_redirect := ltrim(v_token, '0123456789');
    elsif v_redirect is null then
      v_words := v_words || kata_data.unquoted_word(v_token);
    else
      path := kata_data.plain_path(kata_data.unquoted_word(v_token));
      detail := case when v_redirect ~ '>' then kata_data.file_change() end;
      if v_redirect !~ '^(<<|[<>]&)' and kata_data.word_may_be_path(path) and path ~ E'[./\\\\[:alpha:]]' collate kata_data.c_utf8 and path !~ '^/dev/' then
        return next;
      end if;
      v_redirect := null;
    end if;
  end loop;
  return query select s.path, s.detail from kata_data.step_files(v_words) s;
end
$$;
comment on function kata_data.command_files(text) is
'The files that a shell command names, and what it does to them, as far as its words show.

Returns path, detail: null for a file that is only read.';

create or replace function kata_data.shell_token_pattern() returns text
language sql immutable
as $$
  select E'((?:[^\\s''"\\\\;&|()<>]|\\\\.|''[^'']*''|"(?:[^"\\\\]|\\\\.)*")+'
    || E'|[0-9]*(?:&>>|&>|<<<|<<-|<<|>>|>\\||>&|<&|<>|<|>)'
    || E'|&&|\\|\\||[;&|()\n])'
$$;
comment on function kata_data.shell_token_pattern() is 'A token of a shell command: a word with its quotes, a redirect, or what separates commands.';

create or replace function kata_data.without_here_documents(command text) returns text
language plpgsql immutable
as $$
declare
  v_done text := '';
  v_rest text := command;
  v_tag text;
  v_at integer;
  v_line integer;
begin
  for v_round in 1..100 loop
    v_at := strpos(v_rest, '<<');
    exit when v_at = 0;
    v_tag := substring(substr(v_rest, v_at, 100) from E'^<<-?[ \t]*[\\\\"'']?([A-Za-z_][A-Za-z0-9_]*)');
    v_line := strpos(substr(v_rest, v_at), E'\n');
    if v_tag is null or v_line = 0 then
      v_done := v_done || left(v_rest, v_at + 2);
      v_rest := substr(v_rest, v_at + 3);
    else
      v_done := v_done || left(v_rest, v_at + v_line - 1);
      v_rest := substr(v_rest, v_at + v_line - 1);
      v_at := regexp_instr(v_rest, E'\n\t*' || v_tag || E'[ \t\r]*(\n|$)');
      -- One that does not end goes to the end, as in the shell.
      v_rest := case when v_at = 0 then '' else substr(v_rest, v_at + strpos(substr(v_rest, v_at + 1) || E'\n', E'\n')) end;
    end if;
  end loop;
  return v_done || v_rest;
end
$$;
comment on function kata_data.without_here_documents(text) is 'A shell command without the lines of its first hundred here documents.';

create or replace function kata_data.unquoted_word(word text) returns text
language sql immutable
as $$
  select case
    when word !~ E'[''"\\\\]' then word
    -- A path of Windows keeps its backslashes.
    when word ~ E'^["'']?([A-Za-z]:\\\\|\\\\\\\\)' then btrim(word, E'"''')
    else regexp_replace(word, E'''([^'']*)''|"((?:[^"\\\\]|\\\\.)*)"|\\\\(.)', E'\\1\\2\\3', 'g')
  end
$$;
comment on function kata_data.unquoted_word(text) is 'A word of a shell command without its quotes.';

create or replace function kata_data.word_may_be_path(word text) returns boolean
language sql immutable
as $$
  select length(word) between 2 and 500 and word ~ '[[:alpha:]]' collate kata_data.c_utf8 and word !~ E'[$`*?{}<>|"=\n]' and left(word, 1) not in ('-', '+', '@', ':')
    and word !~ '^[a-z]+://' and word !~ ',$'
$$;
comment on function kata_data.word_may_be_path(text) is 'Whether a word of a shell command may be a path: no option, glob, variable, assignment or address.';

create or replace function kata_data.step_files(words text[]) returns table (path text, detail jsonb)
language plpgsql immutable rows 10
as $$
declare
  v_words text[] := words;
  v_program text;
  v_files text[];
  v_last text;
begin
  while v_words[1] ~ E'^\\w+=' collate kata_data.c_utf8 or v_words[1] in ('sudo', 'env', 'time', 'nohup', 'command', 'exec', 'xargs', 'then', 'do', 'else', 'if', '!', '{')
  loop
    v_words := v_words[2:];
  end loop;
  v_program := regexp_replace(v_words[1], E'^.*[/\\\\]|\\.exe$', '', 'g');
  if v_program in ('bash', 'sh', 'zsh', 'dash') and v_words[2] ~ '^-[a-z]*c$' then
    return query select f.path, f.detail from kata_data.command_files(v_words[3]) f;
    return;
  end if;
  if v_program = 'git' then
    while v_words[2] in ('-C', '-c') loop
      v_words := v_words[1:1] || v_words[4:];
    end loop;
    v_program := 'git ' || coalesce(v_words[2], '');
    v_words := v_words[2:];
  end if;
  v_files := kata_data.file_words(v_program, v_words[2:]);
  v_last := v_files[cardinality(v_files)];
  if v_last is null or v_program = 'git rm' and '--cached' = any (v_words) then
    return;
  elsif v_program in ('rm', 'unlink', 'del', 'git rm') then
    return query select w.word, kata_data.file_change(deleted => true) from unnest(v_files) w(word);
  elsif v_program in ('mv', 'git mv', 'ren', 'move') then
    return query
    select f.path, f.detail
    from unnest(v_files[:cardinality(v_files) - 1]) w(word)
    cross join lateral kata_data.move_target(v_last, w.word, v_files) t(target)
    cross join lateral (values
      (w.word, kata_data.file_change(deleted => true, renamed_to => t.target)),
      (t.target, kata_data.file_change(renamed_from => w.word))
    ) f(path, detail);
  elsif v_program in ('cp', 'copy', 'install') then
    return query
    select w.word, null::jsonb from unnest(v_files[:cardinality(v_files) - 1]) w(word)
    union all
    select distinct kata_data.move_target(v_last, w.word, v_files), kata_data.file_change()
    from unnest(v_files[:cardinality(v_files) - 1]) w(word);
  else
    return query
    select w.word, case when kata_data.step_writes(v_program, v_words) then kata_data.file_change() end
    from unnest(v_files) w(word);
  end if;
end
$$;
comment on function kata_data.step_files(text[]) is 'The files that one step of a shell command names by its words, and what it does to them.';

create or replace function kata_data.step_writes(program text, words text[]) returns boolean
language sql immutable
as $$
  select program in ('tee', 'touch', 'create', 'truncate', 'patch', 'git restore', 'git checkout')
    or program in ('sed', 'perl', 'ruby')
      and exists (select from unnest(words) w(word) where w.word ~ '^-[nErspluz]*i' or w.word ~ '^--in-place')
$$;
comment on function kata_data.step_writes(text, text[]) is 'Whether a step of a shell command writes the files that it is given.';

create or replace function kata_data.file_words(program text, arguments text[]) returns text[]
language plpgsql immutable
as $$
declare
  v_dashes integer := array_position(arguments, '--');
  v_scripted boolean;
begin
  if program = 'git checkout' then
    arguments := case when v_dashes > 0 then arguments[v_dashes + 1:] end;
  end if;
  -- The first word of these is a program or a pattern, unless an option holds it.
  v_scripted := program in ('sed', 'perl', 'ruby', 'awk', 'grep', 'egrep', 'rg')
    and not exists (select from unnest(arguments) a(word) where a.word ~ '^(-[a-zA-Z]*[ef]|--(expression|file|regexp).*)$');
  if program !~ '^(rm|unlink|del|mv|ren|move|cp|copy|install|touch|create|truncate|tee|patch|sed|perl|ruby|awk|grep|egrep|rg|cat|less|more'
    '|head|tail|open|edit|vim|nano|type|wc|nl|diff|git (rm|mv|restore|checkout)|python[0-9.]*|node|bash|sh)$' then
    return '{}'::text[];
  end if;
  return array(
    select kata_data.plain_path(w.word)
    from (
      select a.word, row_number() over (order by a.place) as rank
      from (
        select a.word, a.place, lag(a.word, 1, '') over (order by a.place) as before
        from unnest(arguments) with ordinality a(word, place)
        where a.word <> ''
      ) a
      where left(a.word, 1) <> '-'
        and not (program ~ '^(python|node|bash|sh)' and a.word !~ '[./]')
        and not (program in ('sed', 'perl', 'ruby') and (a.before ~ '^-[a-zA-Z]*[ef]$' or a.before = '-i' and a.word ~ E'^\\.\\w+$' collate kata_data.c_utf8))
        and not (program in ('head', 'tail', 'patch') and a.before ~ '^-[ncid]$')
        and not (program ~ 'grep|rg' and a.before ~ '^-[ABCmef]$')
    ) w
    where w.rank > v_scripted::integer
      and kata_data.word_may_be_path(w.word)
    order by w.rank);
end
$$;
comment on function kata_data.file_words(text, text[]) is
'The words of a shell command that name files: no options, scripts, patterns, globs or variables.';

create or replace function kata_data.move_target(last text, word text, words text[]) returns text
language sql immutable
as $$
  select case
    when last like '%/' or cardinality(words) > 2 then rtrim(last, '/') || '/' || regexp_replace(word, E'^.*[/\\\\]', '')
    else last
  end
$$;
comment on function kata_data.move_target(text, text, text[]) is
'The path to which mv moves a file.

Into the last word, where that is a folder or the files are several; else to that name.';

create or replace function kata_data.joined_command(words jsonb) returns text
language sql immutable
as $$
  select string_agg('''' || replace(w.word, '''', E'''\\''''') || '''', ' ' order by w.place)
  from jsonb_array_elements_text(words) with ordinality w(word, place)
$$;
comment on function kata_data.joined_command(jsonb) is 'A command that is given as an array of words, as a shell would be given it.';
