-- The artifacts that messages name, found in one query for many messages: the cost follows their length, not their number.
--
-- Tool calls first: the tool, and its arguments as JSON, where keys say what a value is ("path", "reservation_id") and the tool
-- what becomes of it. Then every text (content, strings inside JSON, commands), where only the form says what a word is. Patterns
-- have no back references and no nested repetition, so their time is linear. The CTEs, in order, and what a row of each holds:
--
--   source        a text: the content of a message, or the arguments of one of its calls
--   document      the same, with the JSON that it is
--   nested, json  JSON, found in a document or in a string of other JSON, four deep
--   object        an object in it, the first 5,000
--   key           a key of objects, once, with what it says of its values
--   member        a key of an object with its value, where the key says what that is, is a word, or holds an array
--   secret        a value that must not be shown, wherever else it stands
--   leaf, value   a value that may name something, or an element of an array; each distinct one judged once
--   path, change  a value that is a path, and what the call does to it
--   prose         free text: documents that are not JSON, strings of those that are, keys that are words
--   address       a URL in it
--   plain         free text without URLs and heads of patches
--   word          a word in it
--   known_word    a distinct word, judged once: a file, or not
--   named_word    what a word names: a file, a URL, identifiers
--   listed        a path that takes a line of a result, as in the output of ls, find and grep
--   found         all of it: an artifact, the message and the place where it is named
--   deduplicated  one row per message, kind and ref
--   over_limit    a message and kind with more than 1,000 of them
--
-- Most of the time goes to rows, not to patterns. So keys, values and words, which repeat, are judged once each; texts that lack
-- the fixed part of a pattern are not tried; JSON is taken as one array, because jsonb_path_query moves all that is left for every
-- row that it returns; and rows carry no documents, which would be copied with each of them.
--
-- Columns named …_mark mark what is rare: a text, or null. They are not booleans, because the planner takes a text for one row in
-- 200 and a boolean for every second one, and joins by hash only where its estimates stay near.
--
-- The helpers that the query calls are SQL functions that the planner inlines: they give names to its parts and cost nothing.
-- plans: parser

create or replace function kata_data.parse_artifacts(segment_id uuid, low bigint, high bigint)
returns table (version bigint, kind text, ref text, mentions integer, detail jsonb)
language plpgsql stable rows 1000 set plan_cache_mode = force_generic_plan set work_mem = '64MB' set jit = off
as $$
begin
  return query
  with recursive source as (
    select m.version, 0::bigint as place, false as is_call, m.role = 'tool' as is_result, m.content as text,
      case when (m.tool_call_id is not null or m.tool_name is not null) and position('[File: ' in m.content) > 0 then
        coalesce(m.tool_name, kata_data.called_tool(m.segment_id, m.group_version, m.tool_call_id))
      end as tool
    from kata_data.message m
    where m.segment_id = parse_artifacts.segment_id
      and m.version between low and high
      and m.content <> ''
    union all
    select m.version, c.ordinality, true, false, kata_data.call_arguments(c.call), kata_data.call_name(c.call)
    from kata_data.message m
    cross join lateral jsonb_array_elements(m.tool_calls) with ordinality c(call, ordinality)
    where m.segment_id = parse_artifacts.segment_id
      and m.version between low and high
      and m.tool_calls is not null
    union all
    select a.version, t.place, t.place > 0, t.place = 0 and a.role = 'tool', t.text, t.tool
    from kata_data.said_by_amendments(parse_artifacts.segment_id, low, high) a
    cross join lateral (
      select 0::bigint as place, a.content as text,
        case when position('[File: ' in a.content) > 0 then
          coalesce(a.tool_name, kata_data.called_tool(a.segment_id, a.group_version, a.tool_call_id))
        end as tool
      union all
      select c.ordinality, kata_data.call_arguments(c.call), kata_data.call_name(c.call)
      from jsonb_array_elements(a.tool_calls) with ordinality c(call, ordinality)
    ) t
    where t.place > 0 or t.text <> ''
  ),
  document as materialized (
    select s.version, s.place, s.is_call, s.is_result, s.tool, s.text, s.body,
      case when s.body is not null and kata_data.may_escape(s.text) then 'escaped' end as escape_mark
    from (
      select s.version, s.place, s.is_call, s.is_result, s.tool, s.text,
        case when kata_data.may_be_json(s.text) then kata_data.as_json(s.text) end as body
      from source s
      offset 0
    ) s
  ),
  nested as (
    select d.version, d.place, d.is_call, d.tool, 0 as depth, d.body, d.escape_mark
    from document d
    where d.escape_mark = 'escaped'
    union all
    select d.version, d.place, d.is_call, d.tool, d.depth + 1, kata_data.as_json(n.nested #>> '{}'), d.escape_mark
    from nested d
    cross join lateral jsonb_array_elements(
      jsonb_path_query_array(d.body, 'strict $.**{0 to 20} ? (@ starts with "{" || @ starts with "[")')) n(nested)
    where d.escape_mark = 'escaped'
      and d.depth < 4
      and d.body is not null
  ),
  json as materialized (
    select row_number() over () as number, j.version, j.place, j.depth, j.is_call, j.tool, j.body, j.escape_mark
    from (
      select d.version, d.place, 0 as depth, d.is_call, d.tool, d.body, d.escape_mark
      from document d
      where d.body is not null
      union all
      select n.version, n.place, n.depth, n.is_call, n.tool, n.body, n.escape_mark
      from nested n
      where n.depth > 0
        and n.body is not null
    ) j
  ),
  object as materialized (
    select j.number, j.version, j.place, j.depth, j.is_call, o.object
    from json j
    cross join lateral jsonb_array_elements(
      jsonb_path_query_array(j.body, 'strict $.**{0 to 20} ? (@.type() == "object")')) with ordinality o(object, ordinality)
    where o.ordinality <= 5000
  ),
  key as materialized (
    select k.key, kata_data.meaning_of_key(k.key) as meaning, case when k.key ~ '[0-9/.]' then 'word' end as word_mark,
      jsonb_build_object('key', left(k.key, 100)) as detail
    from (
      select distinct o.key
      from (select jsonb_object_keys(o.object) as key from object o offset 0) o
      offset 0
    ) k
  ),
  member as materialized (
    select o.number, o.version, o.place, o.depth, o.is_call, k.key, k.meaning, k.word_mark, k.detail, o.object -> o.key as value
    from (
      select o.number, o.version, o.place, o.depth, o.is_call, o.object, jsonb_object_keys(o.object) as key
      from object o
      offset 0
    ) o
    join key k on k.key = o.key
    where case
        when k.word_mark = 'word' then true
        when k.meaning is null then jsonb_typeof(o.object -> o.key) = 'array'
        else k.meaning <> 'other'
      end
  ),
  secret as materialized (
    select m.version, v.value
    from member m
    cross join lateral (
      select m.value #>> '{}'
      union all
      select w.word from kata_data.words_in(m.value #>> '{}') w
    ) v(value)
    where m.meaning = 'secret'
      and jsonb_typeof(m.value) <> 'null'
  ),
  leaf as materialized (
    select m.number, m.version, m.place, m.is_call, m.key, m.meaning, m.detail,
      case when jsonb_typeof(m.value) = 'array' then kata_data.joined_command(m.value) else m.value #>> '{}' end as value
    from member m
    where m.meaning in ('id', 'file', 'command')
      and (jsonb_typeof(m.value) in ('string', 'number') or m.meaning = 'command' and jsonb_typeof(m.value) = 'array')
    union all
    select m.number, m.version, m.place, m.is_call, m.key, coalesce(m.meaning, 'element'), m.detail, e.value #>> '{}'
    from member m
    cross join lateral jsonb_array_elements(m.value) e(value)
    where jsonb_typeof(m.value) = 'array'
      and (m.meaning is null or m.meaning not in ('other', 'secret', 'command'))
      and jsonb_typeof(e.value) in ('string', 'number')
  ),
  value as materialized (
    select l.value, l.meaning, kata_data.value_is_id(l.value, l.meaning = 'element') as is_id
    from (select distinct l.value, l.meaning from leaf l where l.meaning in ('id', 'element') offset 0) l
  ),
  path as materialized (
    select l.number, l.version, l.place, l.is_call, l.key, l.value, kata_data.value_is_path(l.value) as is_file
    from leaf l
    where l.meaning = 'file'
  ),
  change as materialized (
    select p.number, p.key, kata_data.change_of_file(j.tool, p.key, j.body) as detail
    from (select distinct p.number, p.key from path p where p.is_call offset 0) p
    join json j on j.number = p.number
  ),
  prose as materialized (
    select p.version, p.place, p.body,
      case when position('://' in p.body) > 0 then 'url' end as url_mark,
      case when kata_data.may_be_patch(p.body) then 'patch' end as patch_mark,
      case when p.body ~ E'\\m[A-Za-z]:[\\\\/][^/]|\\\\\\\\' collate kata_data.c_utf8 then 'drive' end as drive_mark
    from (
      select d.version, d.place, kata_data.without_secrets(d.text) as body
      from document d
      where d.body is null
      union all
      select t.version, t.place, kata_data.without_secrets(string_agg(t.body, E'\n'))
      from (
        select j.version, j.place, j.depth,
          case
            when j.escape_mark is null then kata_data.joined_strings(s.strings)
            else (select string_agg(t.string, E'\n') from kata_data.texts_among(s.strings) t)
          end as body
        from json j
        cross join lateral (select jsonb_path_query_array(j.body, 'strict $.**{0 to 20} ? (@.type() == "string")') as strings offset 0) s
        where jsonb_array_length(s.strings) > 0
      ) t
      where t.body is not null
      group by t.version, t.place, t.depth
      union all
      select m.version, m.place, string_agg(distinct m.key, E'\n')
      from member m
      where m.word_mark = 'word'
      group by m.version, m.place, m.depth
    ) p
  ),
  address as materialized (
    select p.version, p.place, u.url
    from prose p
    cross join lateral kata_data.urls_in(p.body) u
    where p.url_mark = 'url'
  ),
  plain as materialized (
    select p.version, p.place, case when p.drive_mark is null then u.body else regexp_replace(u.body, kata_data.drive_pattern() collate kata_data.c_utf8, ' ', 'g') end as body
    from prose p
    cross join lateral (select case when p.patch_mark = 'patch' then kata_data.without_patch_heads(p.body) else p.body end) b(body)
    cross join lateral (select case when p.url_mark is null then b.body else kata_data.without_urls(b.body) end) u(body)
  ),
  word as materialized (
    select p.version, p.place, w.word
    from plain p
    cross join lateral kata_data.words_in(p.body) w
  ),
  known_word as materialized (
    select w.word, case when length(w.word) between 3 and 500 then kata_data.word_is_file(w.word) and not kata_data.word_is_secret(w.word) end as is_file
    from (select distinct w.word from word w offset 0) w
  ),
  named_word as materialized (
    select k.word, case when kata_data.word_is_url(k.word) then 'url' else 'file' end as kind,
      kata_data.without_dependency(rtrim(kata_data.plain_path(k.word), '/')) as ref
    from known_word k
    where k.is_file
    union all
    -- Identifiers with slashes or dots between.
    select k.word, 'id', i.id
    from known_word k
    cross join lateral unnest(string_to_array(replace(k.word, '..', '/'), '/')) i(id)
    where not k.is_file
      and not kata_data.word_is_secret(k.word)
      and kata_data.word_is_id(i.id)
  ),
  listed as materialized (
    select distinct d.version, kata_data.without_dependency(kata_data.plain_path(p.path)) as ref, '{"access": "listed"}'::jsonb as detail
    from document d
    cross join lateral string_to_table(d.text, E'\n') l(line)
    cross join lateral substring(l.line from kata_data.listed_path_pattern()) p(path)
    where d.is_result
      and d.body is null
      -- The pattern tries every space of a line.
      and octet_length(l.line) between 3 and 500
      and p.path is not null
  ),
  found as (
    select d.version, d.place, 'tool_call' as kind, d.tool as ref, jsonb_build_object('arguments', kata_data.shown_arguments(d.text)) as detail
    from document d
    where d.is_call
    union all
    select l.version, l.place, 'id', l.value, l.detail
    from leaf l
    join value v on v.value = l.value and v.meaning = l.meaning
    where v.is_id
    union all
    select p.version, p.place, 'file', case when p.is_call then f.path else kata_data.without_dependency(f.path) end,
      coalesce(c.detail, case when p.is_call then '{"access": "read"}' else '{"access": "listed"}' end::jsonb)
    from path p
    cross join lateral kata_data.plain_path(p.value) f(path)
    left join change c on c.number = p.number and c.key = p.key
    where p.is_file
    union all
    select l.version, l.place, 'file', f.path, coalesce(f.detail, '{"access": "read"}')
    from leaf l
    cross join lateral kata_data.command_files(left(l.value, 100000)) f
    where l.meaning = 'command'
      and l.is_call
      and l.value !~ E'^\\s*(\\*\\*\\*|---|diff) ' collate kata_data.c_utf8
    union all
    select p.version, p.place, 'file', f.path, null
    from prose p
    cross join lateral kata_data.drive_paths_in(p.body) f
    where p.drive_mark = 'drive'
    union all
    select p.version, p.place, 'file', f.path, null
    from prose p
    cross join lateral kata_data.file_urls_in(p.body) f
    where p.url_mark = 'url'
      and position('file://' in p.body) > 0
    union all
    select p.version, p.place, 'file', f.path, f.detail
    from prose p
    cross join lateral kata_data.patch_files(left(p.body, 1000000)) f
    where p.patch_mark = 'patch'
    union all
    -- An editor that has no path among its arguments names the open file in its result.
    select d.version, d.place, 'file', f.match[1], case when kata_data.tool_changes_files(d.tool) then kata_data.file_change() end
    from document d
    cross join lateral regexp_matches(d.text, E'\\[File: ([^\\s()]+) \\(' collate kata_data.c_utf8) f(match)
    where d.tool is not null
      and not d.is_call
    union all
    -- A URL loses its credentials.
    select a.version, a.place, 'url', regexp_replace(a.url, E'://[^/@\\s]*@' collate kata_data.c_utf8, '://'), null::jsonb
    from address a
    union all
    select w.version, w.place, n.kind, n.ref, l.detail
    from word w
    join named_word n on n.word = w.word
    left join listed l on l.version = w.version and l.ref = n.ref and n.kind = 'file'
    union all
    select p.version, p.place, 'id', i.id, null
    from plain p
    cross join lateral kata_data.introduced_ids_in(p.body) i
    union all
    select p.version, p.place, 'id', i.id, null
    from plain p
    cross join lateral kata_data.issue_numbers_in(p.body) i
  ),
  deduplicated as materialized (
    select f.version, f.kind, f.ref, min(f.place) as place,
      case f.kind when 'tool_call' then count(*) else 1 end::integer as mentions,
      array_agg(f.place) filter (where f.detail is not null) as places,
      array_agg(f.detail) filter (where f.detail is not null) as details
    from found f
    where f.ref <> ''
      and octet_length(f.ref) <= 2000
      and (f.version, f.ref) not in (select s.version, s.value from secret s)
    group by f.version, f.kind, f.ref
  ),
  over_limit as materialized (
    select d.version, d.kind
    from deduplicated d
    group by d.version, d.kind
    having count(*) > 1000
  )
  select k.version, k.kind, k.ref, k.mentions,
    case when cardinality(k.details) > 1 then (
      select d.detail
      from unnest(k.places, k.details) d(place, detail)
      order by kata_data.weight_of(d.place, d.detail) desc, d.detail::text collate "C" desc
      limit 1) else k.details[1] end
  from (
    select d.version, d.kind, d.ref, d.mentions, d.places, d.details
    from deduplicated d
    where (d.version, d.kind) not in (select o.version, o.kind from over_limit o)
    union all
    select r.version, r.kind, r.ref, r.mentions, r.places, r.details
    from (
      select d.version, d.kind, d.ref, d.mentions, d.places, d.details,
        row_number() over (partition by d.version, d.kind order by d.details is null, d.place, d.ref collate "C") as rank
      from deduplicated d
      where (d.version, d.kind) in (select o.version, o.kind from over_limit o)
    ) r
    where r.rank <= 1000
  ) k;
end
$$;
comment on function kata_data.parse_artifacts(uuid, bigint, bigint) is
'The artifacts that messages of a segment name, one row per message, kind and ref.

segment_id: the segment. low, high: its messages from this version to that one.

Of a message at most 1,000 of a kind: those with a detail, then those named first. detail: null where the message says no more than the ref.
Cost: linear in the length of the messages.';
