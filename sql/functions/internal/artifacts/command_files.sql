-- Files that a shell command names, and what it does to them.

create or replace function kata_data.command_files(command text) returns table (path text, detail jsonb)
language plpgsql immutable rows 10
as $$
declare
  v_step text[];
  v_words text[];
  v_last text;
begin
  for v_step in
    select s.match from regexp_matches(command, kata_data.command_pattern(), 'g') s(match) limit 1000
  loop
    v_words := kata_data.command_words(v_step[2]);
    v_last := v_words[cardinality(v_words)];
    case
      when v_last is null then
        null;
      when v_step[1] ~ 'rm$' then
        return query select w.word, kata_data.file_change(deleted => true) from unnest(v_words) w(word);
      when v_step[1] ~ 'mv$' then
        return query
        select f.path, f.detail
        from unnest(v_words[:cardinality(v_words) - 1]) w(word)
        cross join lateral kata_data.move_target(v_last, w.word, v_words) t(target)
        cross join lateral (values
          (w.word, kata_data.file_change(deleted => true, renamed_to => t.target)),
          (t.target, kata_data.file_change(renamed_from => w.word))
        ) f(path, detail);
      when v_step[1] = 'cp' then
        return query
        select w.word, case when w.ordinality = cardinality(v_words) then kata_data.file_change() end
        from unnest(v_words) with ordinality w(word, ordinality);
      when v_step[1] = 'sed' and v_step[2] ~ '(^|[ \t])(-i|--in-place)' then
        return query select v_last, kata_data.file_change();
      when v_step[1] in ('touch', 'create', 'tee') then
        return query select w.word, kata_data.file_change() from unnest(v_words) w(word);
      when v_step[1] <> 'sed' then
        return query select w.word, null::jsonb from unnest(v_words) w(word);
      else
        null;
    end case;
  end loop;
  return query
  select kata_data.plain_path(r.match[1]), kata_data.file_change()
  from regexp_matches(command, '(?:^|[^=>&-])>{1,2}[ \t]*["'']?([\w.@+~/-]{2,})', 'g') r(match)
  where r.match[1] ~ '[./]'
    and r.match[1] ~ '^[^0-9]'
    and r.match[1] !~ '^/dev/';
end
$$;
comment on function kata_data.command_files(text) is
'The files that a shell command names, and what it does to them, as far as its words show.

Returns path, detail: null for a file that is only read.';

create or replace function kata_data.command_words(arguments text) returns text[]
language plpgsql immutable
as $$
begin
  return array(
    select kata_data.plain_path(w.word)
    from regexp_split_to_table(btrim(left(arguments, 20000)), '[ \t]+') with ordinality x(quoted, ordinality)
    cross join lateral btrim(x.quoted, '"''') w(word)
    where w.word ~ '^[\w.@+~/][\w.@+~/-]*$'
      and w.word ~ '[[:alpha:]]'
    order by x.ordinality);
end
$$;
comment on function kata_data.command_words(text) is 'The words after a program in a shell command that may be paths: no options, no globs, no variables.';

create or replace function kata_data.move_target(last text, word text, words text[]) returns text
language sql immutable
as $$
  select case when last like '%/' or cardinality(words) > 2 then rtrim(last, '/') || '/' || regexp_replace(word, '^.*/', '') else last end
$$;
comment on function kata_data.move_target(text, text, text[]) is
'The path to which mv moves a file.

Into the last word, where that is a folder or the files are several; else to that name.';
