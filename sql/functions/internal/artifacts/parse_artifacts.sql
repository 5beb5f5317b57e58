-- What messages speak of, found in one query for many messages: the cost follows their length, not their number.
--
-- Tool calls first: the tool, and its arguments as JSON, where keys tell what a value is ("path", "reservation_id") and the tool
-- what becomes of it. Then every text (content, the strings inside JSON, commands), where only the form tells: addresses, paths,
-- names with a known ending, codes. Patterns have no back references and no nested repetition, so their time is linear.
-- Strings in JSON that are JSON themselves are opened, four deep. What JSON holds is taken as one array: jsonb_path_query moves all
-- that is left for every row that it returns.
--
-- Most of the time goes to rows, not to patterns. So keys, values and words, which are repeated much, are judged once each; texts that
-- lack the fixed part of a pattern are not tried; and rows carry no documents, which would be copied with each of them. What is rare is
-- marked by a word, not by a boolean: the planner takes it for one row in 200, not for every second one, so that its estimates stay
-- near enough for joins by hash.

create or replace function kata_data.parse_artifacts(segment_id uuid, low bigint, high bigint)
returns table (version bigint, kind text, ref text, mentions integer, detail jsonb)
language plpgsql stable rows 1000 set plan_cache_mode = force_generic_plan set work_mem = '64MB' set jit = off
as $$
begin
  return query
  with recursive source as (
    select m.version, 0::bigint as place, false as is_call, m.content as text,
      case when (m.tool_call_id is not null or m.tool_name is not null) and position('[File: ' in m.content) > 0 then
        coalesce(m.tool_name, kata_data.called_tool(m.segment_id, m.group_version, m.tool_call_id))
      end as tool
    from kata_data.message m
    where m.segment_id = parse_artifacts.segment_id
      and m.version between low and high
      and m.content <> ''
    union all
    select m.version, c.ordinality, true, c.call #>> '{function,arguments}', c.call #>> '{function,name}'
    from kata_data.message m
    cross join lateral jsonb_array_elements(m.tool_calls) with ordinality c(call, ordinality)
    where m.segment_id = parse_artifacts.segment_id
      and m.version between low and high
      and m.tool_calls is not null
  ),
  document as materialized (
    -- strings: quoted where some may be escaped, or JSON themselves; null where all read as they are written.
    select s.version, s.place, s.is_call, s.tool, s.text, s.body,
      case when s.body is not null and (position('\' in s.text) > 0 or position('"{' in s.text) > 0 or position('"[' in s.text) > 0) then 'quoted' end as strings
    from (
      -- The first character tells what is no JSON.
      select s.version, s.place, s.is_call, s.tool, s.text, case when ascii(s.text) in (9, 10, 13, 32, 91, 123) then kata_data.as_json(s.text) end as body
      from source s
      offset 0
    ) s
  ),
  nested as (
    select d.version, d.place, d.is_call, d.tool, 0 as depth, d.body, d.strings
    from document d
    where d.strings = 'quoted'
    union all
    select d.version, d.place, d.is_call, d.tool, d.depth + 1, kata_data.as_json(n.nested #>> '{}'), d.strings
    from nested d
    cross join lateral jsonb_array_elements(
      jsonb_path_query_array(d.body, 'strict $.**{0 to 20} ? (@ starts with "{" || @ starts with "[")')) n(nested)
    where d.strings = 'quoted'
      and d.depth < 4
      and d.body is not null
  ),
  json as materialized (
    select row_number() over () as number, j.version, j.place, j.depth, j.is_call, j.tool, j.body, j.strings
    from (
      select d.version, d.place, 0 as depth, d.is_call, d.tool, d.body, d.strings
      from document d
      where d.body is not null
      union all
      select n.version, n.place, n.depth, n.is_call, n.tool, n.body, n.strings
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
  -- Many values, few keys: a key is looked at once.
  key as materialized (
    select k.key, kata_data.meaning_of_key(k.key) as meaning, case when k.key ~ '[0-9/.]' then 'word' end as form, jsonb_build_object('key', left(k.key, 100)) as detail
    from (
      select distinct o.key
      from (select jsonb_object_keys(o.object) as key from object o offset 0) o
      offset 0
    ) k
  ),
  -- A value under a key that tells what it is, or in an array; and keys that are words themselves.
  member as materialized (
    select o.number, o.version, o.place, o.depth, o.is_call, k.key, k.meaning, k.form, k.detail, o.object -> o.key as value
    from (
      select o.number, o.version, o.place, o.depth, o.is_call, o.object, jsonb_object_keys(o.object) as key
      from object o
      offset 0
    ) o
    join key k on k.key = o.key
    where case
        when k.form = 'word' then true
        when k.meaning is null then jsonb_typeof(o.object -> o.key) = 'array'
        else k.meaning <> 'other'
      end
  ),
  secret as materialized (
    select m.version, m.value #>> '{}' as value
    from member m
    where m.meaning = 'secret'
      and jsonb_typeof(m.value) <> 'null'
  ),
  leaf as materialized (
    select m.number, m.version, m.place, m.is_call, m.key, m.meaning, m.detail, m.value #>> '{}' as value
    from member m
    where m.meaning in ('id', 'file', 'command')
      and jsonb_typeof(m.value) in ('string', 'number')
    union all
    select m.number, m.version, m.place, m.is_call, m.key, coalesce(m.meaning, 'element'), m.detail, e.value #>> '{}'
    from member m
    cross join lateral jsonb_array_elements(m.value) e(value)
    where jsonb_typeof(m.value) = 'array'
      and (m.meaning is null or m.meaning not in ('other', 'secret'))
      and jsonb_typeof(e.value) in ('string', 'number')
  ),
  -- Each value is looked at once, too.
  value as materialized (
    select l.value, l.meaning, kata_data.value_is_id(l.value, l.meaning = 'element') as is_id
    from (select distinct l.value, l.meaning from leaf l where l.meaning in ('id', 'element') offset 0) l
  ),
  path as materialized (
    select l.number, l.version, l.place, l.is_call, l.key, l.value,
      length(l.value) <= 500 and l.value ~ '^[^\s:][^\n:*?"<>|]*$' and l.value ~ '[[:alpha:]]' as is_file
    from leaf l
    where l.meaning = 'file'
  ),
  -- What a call does to the files under a key.
  change as materialized (
    select p.number, p.key, kata_data.change_of_file(j.tool, p.key, j.body) as detail
    from (select distinct p.number, p.key from path p where p.is_call offset 0) p
    join json j on j.number = p.number
  ),
  prose as materialized (
    select p.version, p.place, p.body,
      case when position('://' in p.body) > 0 then '://' end as addresses,
      case when position('--- ' in p.body) > 0 or position('diff --git a/' in p.body) > 0 or position(' File: ' in p.body) > 0 then 'patch' end as form
    from (
      select d.version, d.place, d.text as body
      from document d
      where d.body is null
      union all
      select t.version, t.place, string_agg(t.body, E'\n')
      from (
        select j.version, j.place, j.depth,
          case
            when j.strings is null then replace(substr(left(s.strings::text, -2), 3), '", "', E'\n')
            else (
              select string_agg(t.string, E'\n')
              from jsonb_array_elements_text(s.strings) t(string)
              where case when left(t.string, 1) in ('{', '[') then kata_data.as_json(t.string) is null else true end
            )
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
      where m.form = 'word'
      group by m.version, m.place, m.depth
    ) p
  ),
  address as materialized (
    select p.version, p.place, rtrim(u.match[1], '.,:;!?*_~''') as url
    from prose p
    cross join lateral regexp_matches(p.body, '((?:https?|ftp|wss?|s3|gs|ssh|git)://[^\s"<>`\\)\]}|]+)', 'g') with ordinality u(match, ordinality)
    where p.addresses = '://'
      and u.ordinality <= 5000
  ),
  plain as materialized (
    select p.version, p.place,
      case
        when p.addresses is null then b.body
        else regexp_replace(b.body, '[a-z0-9+]+://[^\s"<>`\\)\]}|]+', ' ', 'g')
      end as body
    from prose p
    -- Heads of patches have their paths with a prefix.
    cross join lateral (
      select case
          when p.form = 'patch' and (position('--- a/' in p.body) > 0 or position('diff --git a/' in p.body) > 0) then
            regexp_replace(p.body, '(^|\n)(diff --git |--- |\+\+\+ )[^\n]*', '\1', 'g')
          else p.body
        end
    ) b(body)
  ),
  word as materialized (
    -- \n and \t spelt out are no letters.
    select p.version, p.place, rtrim(ltrim(c.match[1], '@+-'), '.@+~-') as word
    from plain p
    cross join lateral regexp_matches(
      case position('\' in p.body) when 0 then p.body else regexp_replace(p.body, '\\[nrt]', ' ', 'g') end,
      '[\w./@+~-]*(?:(?:[0-9/]|\.[\w-])[\w./@+~-]*[[:alpha:]_]|[[:alpha:]_][\w./@+~-]*(?:[0-9/]|\.[\w-]))[\w./@+~-]*', 'g') with ordinality c(match, ordinality)
    where c.ordinality <= 20000
  ),
  form as materialized (
    select w.word, case when length(w.word) between 3 and 500 then kata_data.word_is_file(w.word) end as is_file
    from (select distinct w.word from word w offset 0) w
  ),
  -- What a word is: a path, or identifiers with strokes or dots between.
  named as materialized (
    select f.word,
      case
        when split_part(split_part(f.word, '/', 1), '.', -1) in ('com', 'org', 'net', 'io', 'dev', 'ai', 'gov', 'edu') and f.word ~ '^[\w-]+(\.[\w-]+)+/' then 'url'
        else 'file'
      end as kind,
      rtrim(regexp_replace(f.word, '^(\./)+', ''), '/') as ref
    from form f
    where f.is_file
    union all
    select f.word, 'id', i.id
    from form f
    cross join lateral unnest(string_to_array(replace(f.word, '..', '/'), '/')) i(id)
    where not f.is_file
      and kata_data.word_is_id(i.id)
  ),
  found as (
    select d.version, d.place, 'tool_call' as kind, d.tool as ref, jsonb_build_object('arguments', left(d.text, 200)) as detail
    from document d
    where d.is_call
    union all
    select l.version, l.place, 'id', l.value, l.detail
    from leaf l
    join value v on v.value = l.value and v.meaning = l.meaning
    where v.is_id
    union all
    select p.version, p.place, 'file', regexp_replace(p.value, '^(\./)+', ''), c.detail
    from path p
    left join change c on c.number = p.number and c.key = p.key
    where p.is_file
    union all
    select l.version, l.place, 'file', f.path, f.detail
    from leaf l
    cross join lateral kata_data.command_files(left(l.value, 100000)) f
    where l.meaning = 'command'
      and l.is_call
    union all
    select p.version, p.place, 'file', f.path, f.detail
    from prose p
    cross join lateral kata_data.patch_files(left(p.body, 1000000)) f
    where p.form = 'patch'
    union all
    -- An editor without a path among its arguments says in its result which file it has open.
    select d.version, d.place, 'file', f.match[1], case when kata_data.tool_changes_files(d.tool) then '{"access": "modified"}'::jsonb end
    from document d
    cross join lateral regexp_matches(d.text, '\[File: ([^\s()]+) \(') f(match)
    where d.tool is not null
      and not d.is_call
    union all
    -- Credentials in an address are nobody's business.
    select a.version, a.place, 'url', regexp_replace(a.url, '://[^/@\s]*@', '://'), null::jsonb
    from address a
    union all
    select w.version, w.place, n.kind, n.ref, null
    from word w
    join named n on n.word = w.word
    union all
    -- What is a code only by the words before it.
    select p.version, p.place, 'id', substring(c.match[1] from '[0-9A-Za-z]+$'), null
    from plain p
    cross join lateral regexp_matches(p.body, '[A-Za-z ]*[A-Za-z][ :#*`"]+(?:[0-9]{4}|[A-Z]{6})[0-9A-Za-z]*', 'g') c(match)
    where p.body ~ '[ :#*`"](?:[0-9]{4}|[A-Z]{6})'
      and c.match[1] ~ '(rder|icket|nvoice|ase|ssue|PR|ooking|eservation|onfirmation|ccount|ustomer|ser|ard|ertificate|ransaction|ayment|racking|eference|light|hipment|[Ii][Dd])s?( ([Ii][Dd]|[Nn]umber|[Cc]ode|[Nn]o))?( is)?[ :#*`"]+([0-9]+|[A-Z]{6})$'
    union all
    select p.version, p.place, 'id', c.match[1], null
    from plain p
    cross join lateral regexp_matches(p.body, '(?:^|[\s(\[])(#\w+)', 'g') c(match)
    where position('#' in p.body) > 0
      and c.match[1] ~ '^#[0-9]{1,8}$'
  ),
  once as materialized (
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
  crowd as materialized (
    select o.version, o.kind
    from once o
    group by o.version, o.kind
    having count(*) > 1000
  )
  select o.version, o.kind, o.ref, o.mentions,
    case when cardinality(o.details) > 1 then (
      select d.detail
      from unnest(o.places, o.details) d(place, detail)
      order by d.place desc, d.detail desc
      limit 1) else o.details[1] end
  from (
    select o.version, o.kind, o.ref, o.mentions, o.places, o.details
    from once o
    where (o.version, o.kind) not in (select c.version, c.kind from crowd c)
    union all
    select o.version, o.kind, o.ref, o.mentions, o.places, o.details
    from (
      select o.version, o.kind, o.ref, o.mentions, o.places, o.details,
        row_number() over (partition by o.version, o.kind order by o.details is null, o.place, o.ref) as rank
      from once o
      where (o.version, o.kind) in (select c.version, c.kind from crowd c)
    ) o
    where o.rank <= 1000
  ) o;
end
$$;
comment on function kata_data.parse_artifacts(uuid, bigint, bigint) is
'The artifacts that the messages low to high of a segment name, at most one row a message, kind and ref, and 1,000 a message and kind:
those that tell most first. detail: null where the message tells no more than the ref. Cost: linear in the length of the messages.';

create or replace function kata_data.as_json(body text) returns jsonb
language plpgsql immutable
as $$
begin
  if ascii(ltrim(left(body, 100), E' \t\r\n')) in (91, 123) and octet_length(body) <= 4194304 then
    begin
      return body::jsonb;
    exception
      -- No JSON, or none that jsonb can hold: \u0000, too large a number, nested too deep.
      when data_exception or program_limit_exceeded then
        return null;
    end;
  end if;
  return null;
end
$$;
comment on function kata_data.as_json(text) is 'A text as JSON, if it is an object or an array of at most 4 MB; else null.';

create or replace function kata_data.called_tool(segment_id uuid, group_version bigint, tool_call_id text) returns text
language sql stable
as $$
  select c.call #>> '{function,name}'
  from kata_data.segments(called_tool.segment_id, called_tool.group_version, called_tool.group_version) s
  cross join lateral (
    select m.tool_calls
    from kata_data.message m
    where m.segment_id = s.segment_id
      and m.version = s.first_version
    offset 0
  ) m
  cross join lateral jsonb_array_elements(m.tool_calls) c(call)
  where c.call ->> 'id' = called_tool.tool_call_id
  limit 1
$$;
comment on function kata_data.called_tool(uuid, bigint, text) is 'The tool whose call a result answers; the call may be in an ancestor of the segment.';
