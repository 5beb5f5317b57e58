-- Commands whose last run failed. A result shows it by its text alone, because logs of most tools keep no exit code.

create or replace function kata_data.last_failures(compaction kata_data.compaction, earlier int8multirange) returns jsonb
language plpgsql stable
as $$
begin
  return (
    with result as materialized (
      select m.version, m.group_version, m.tool_call_id, coalesce(m.provider -> 'is_error' = 'true', false) as is_error,
        concat(left(m.content, 2000), E'\n', right(m.content, 2000)) as ends
      from kata_data.words_at(compaction.context_id, compaction.base_version, compaction.covered + coalesce(earlier, '{}')) m
      where m.role = 'tool'
    ),
    run as (
      select r.version, r.is_error or kata_data.result_shows_failure(k.command, r.ends) as has_failed,
        row_number() over (partition by k.command order by r.version desc) as rank
      from (
        select range_agg(int8range(r.group_version, r.group_version, '[]')) as groups
        from (select distinct r.group_version from result r where r.version <> r.group_version) r
      ) g
      cross join lateral kata_data.words_at(compaction.context_id, compaction.base_version, g.groups) m
      cross join lateral jsonb_array_elements(m.tool_calls) c(call)
      join result r on r.group_version = m.version and r.tool_call_id = c.call ->> 'id'
      cross join lateral (select kata_data.command_of(c.call) as command offset 0) k
      where k.command is not null
    )
    select coalesce(jsonb_agg(f.version order by f.version), '[]')
    from (
      select r.version
      from run r
      where r.rank = 1
        and r.has_failed
      order by r.version desc
      limit 3
    ) f);
end
$$;
comment on function kata_data.last_failures(kata_data.compaction, int8multirange) is
'The versions of the results of commands that failed, and did not succeed later; at most three, the newest.

earlier: those that absorbed digests name.';

create or replace function kata_data.result_shows_failure(command text, result text) returns boolean
language sql immutable
as $$
  -- A search that finds nothing exits with 1.
  select command !~ E'^(cd [^&;|]+ *(&&|;) *)?(grep|rg|diff|git diff|test|which) [^&;]*$' and result ~ (E'[Ee]xit(ed)?( with)?( code| status)?:? ?[1-9]|(exit_?[cC]ode|return_?code)"?>?:? ?[1-9]'
      || E'|(^|\n)[^\n]*(: command not found|: No such file or directory)($|\n)' collate kata_data.c_utf8)
    -- The text of a file that was read may hold any of these words.
    or command !~ E'^(cd [^&;|]+ *(&&|;) *)?(cat|head|tail|less|nl|sed -n|grep|rg|find|ls|git (log|show|diff|blame)) [^&;]*$'
      and result ~ (E'(^|\n)(Traceback \\(most recent call last\\)|npm ERR!|fatal: |[A-Za-z_.]*(Error|Exception): |error(\\[\\w+\\])?: '
        || E'|make: \\*\\*\\* |FAILED |FAIL\\M)|\\m[1-9][0-9]* (failed|failing|errors?)\\M' collate kata_data.c_utf8)
$$;
comment on function kata_data.result_shows_failure(text, text) is
'Whether the result of a command shows that it failed: exit codes, tracebacks, the words of compilers, test runners and shells.';

create or replace function kata_data.failure_shown(result text) returns text
language sql immutable
as $$
  select coalesce(
    (
      select string_agg(l.line, E'\n' order by l.place)
      from (
        select left(m.match[1], 200) as line, m.place
        from regexp_matches(
          right(result, 20000), E'^([^\\n]*(?:\\m[Ee]rror|ERR|FAIL|[Ff]ailed|Exception|fatal:|not found|panicked)[^\\n]*)' collate kata_data.c_utf8, 'gn')
          with ordinality m(match, place)
        order by m.place
        limit 4
      ) l) || E'\n…\n',
    '') || right(result, 200)
$$;
comment on function kata_data.failure_shown(text) is 'The first lines of a result that name an error, and its end.';

create or replace function kata_data.command_of(call jsonb) returns text
language plpgsql immutable
as $$
declare
  v_arguments jsonb := kata_data.as_json(call #>> '{function,arguments}');
begin
  -- Editors have commands, too: they name a path beside.
  if jsonb_typeof(v_arguments) is distinct from 'object' or v_arguments ?| array['path', 'file_path', 'filename'] then
    return null;
  end if;
  return (
    select kata_data.without_secrets(case jsonb_typeof(a.value)
      when 'array' then (select string_agg(w.word, ' ' order by w.place) from jsonb_array_elements_text(a.value) with ordinality w(word, place))
      else a.value #>> '{}'
    end)
    from jsonb_each(v_arguments) a
    where lower(a.key collate kata_data.c_utf8) = any (kata_data.command_keys())
      and jsonb_typeof(a.value) in ('string', 'array')
    order by a.key collate "C"
    limit 1);
end
$$;
comment on function kata_data.command_of(jsonb) is 'The shell command that a call runs, without secrets; null where it runs none.';
