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
    select s.match
    from regexp_matches(
      command,
      '(?:^|[\n;&|(])[ \t]*(?:sudo[ \t]+)?(rm|mv|cp|touch|create|tee|sed|cat|less|head|tail|open|edit|vim|nano|git[ \t]+(?:rm|mv))[ \t]+([^\n;&|()<>]+)',
      'g') s(match)
    limit 1000
  loop
    v_words := array(
      select regexp_replace(w.word, '^(\./)+', '')
      from regexp_split_to_table(btrim(left(v_step[2], 20000)), '[ \t]+') with ordinality x(quoted, ordinality)
      cross join lateral btrim(x.quoted, '"''') w(word)
      where w.word ~ '^[\w.@+~/][\w.@+~/-]*$'
        and w.word ~ '[[:alpha:]]'
      order by x.ordinality);
    v_last := v_words[cardinality(v_words)];
    case
      when v_last is null then
        null;
      when v_step[1] ~ 'rm$' then
        return query select w.word, '{"access": "modified", "deleted": true}'::jsonb from unnest(v_words) w(word);
      when v_step[1] ~ 'mv$' then
        return query
        select w.word, jsonb_build_object('access', 'modified', 'deleted', true, 'renamed_to', t.target)
        from unnest(v_words[:cardinality(v_words) - 1]) w(word)
        cross join lateral (select case when v_last like '%/' or cardinality(v_words) > 2 then rtrim(v_last, '/') || '/' || regexp_replace(w.word, '^.*/', '') else v_last end) t(target)
        union all
        select t.target, jsonb_build_object('access', 'modified', 'renamed_from', w.word)
        from unnest(v_words[:cardinality(v_words) - 1]) w(word)
        cross join lateral (select case when v_last like '%/' or cardinality(v_words) > 2 then rtrim(v_last, '/') || '/' || regexp_replace(w.word, '^.*/', '') else v_last end) t(target);
      when v_step[1] = 'cp' then
        return query
        select w.word, case when w.ordinality = cardinality(v_words) then '{"access": "modified"}'::jsonb end
        from unnest(v_words) with ordinality w(word, ordinality);
      when v_step[1] = 'sed' and v_step[2] ~ '(^|[ \t])(-i|--in-place)' then
        return query select v_last, '{"access": "modified"}'::jsonb;
      when v_step[1] in ('touch', 'create', 'tee') then
        return query select w.word, '{"access": "modified"}'::jsonb from unnest(v_words) w(word);
      when v_step[1] <> 'sed' then
        return query select w.word, null::jsonb from unnest(v_words) w(word);
      else
        null;
    end case;
  end loop;
  return query
  select regexp_replace(r.match[1], '^(\./)+', ''), '{"access": "modified"}'::jsonb
  from regexp_matches(command, '(?:^|[^=>&-])>{1,2}[ \t]*["'']?([\w.@+~/-]{2,})', 'g') r(match)
  where r.match[1] ~ '[./]'
    and r.match[1] ~ '^[^0-9]'
    and r.match[1] !~ '^/dev/';
end
$$;
comment on function kata_data.command_files(text) is 'The files that a shell command opens, makes, changes, renames or removes, as far as its words tell. detail: null for one that is only read.';
