-- The analyzer: the terms that a message is indexed under, and a query is looked up by. One function for both, so that they cannot drift
-- apart. Three kinds of terms:
--
--   words        stems of the configuration. Markup and joints become spaces first: the parser would drop a <tag>, and take src/a_b.py
--                for one word. camelCase is parted.
--   identifiers  whole, in lower case: paths, dotted names, ids with joints, camelCase
--   pairs        of characters, in scripts that put no space between words, and in Korean, where particles hang on the word
--
-- A change here needs a new number in kata_data.search_analyzer: postings of another one are made again.

create or replace function kata_data.search_analyzer(config text) returns text
language sql immutable
as $$
  select '2 ' || config
$$;
comment on function kata_data.search_analyzer(text) is 'The name under which search_mark knows this analyzer with a configuration.';

create or replace function kata_data.search_config(context_id uuid) returns text
language plpgsql stable
as $$
begin
  return (
    select kata_data.policy_value(r.policy, 'search_config') #>> '{}'
    from kata_data.context c
    join kata_data.context r on r.context_id = c.family_id
    where c.context_id = search_config.context_id);
end
$$;
comment on function kata_data.search_config(uuid) is
'The text search configuration of a family: that of its root, because forks share postings.';

create or replace function kata_data.search_policy(policy jsonb) returns jsonb
language sql immutable
as $$
  select jsonb_strip_nulls(jsonb_build_object('search_config', policy -> 'search_config'))
$$;
comment on function kata_data.search_policy(jsonb) is 'The part of a policy that outlives a purge: forks of the context search with it.';

create or replace function kata_data.search_form(body text) returns text
language sql immutable
as $$
  -- Wide and narrow, composed and decomposed characters become one form. Plain ASCII has only one.
  select case
    when octet_length(left(body, 65536)) = length(left(body, 65536)) then left(body, 65536)
    else left(normalize(left(body, 65536), nfkc), 65536)
  end
$$;
comment on function kata_data.search_form(text) is
'The part of a text that is searched, its first 65,536 characters, in one form of Unicode.';

create or replace function kata_data.search_words(body text) returns text
language plpgsql immutable
as $$
declare
  v_words text := body;
begin
  if octet_length(v_words) <> length(v_words) then
    v_words := regexp_replace(v_words, kata_data.unspaced_scripts() || '+', ' ', 'g');
    v_words := translate(v_words, kata_data.other_digits(), repeat('0123456789', 4));
    -- The parser asks the database's locale what a letter is, so it gets no other character outside ASCII.
    v_words := regexp_replace(v_words, E'(?![\\x01-\\x7f])[[:punct:][:space:][:cntrl:]]+' collate kata_data.c_utf8, ' ', 'g');
    v_words := regexp_replace(v_words, E'[^\\x01-\\x7f[:alnum:]]+' collate kata_data.c_utf8, '', 'g');
  end if;
  -- A pattern, because translate compares each character with each joint.
  v_words := regexp_replace(v_words, E'[][<>/\\\\_.:=#@|{}()"'',;*`-]+', ' ', 'g');
  v_words := regexp_replace(v_words, '([a-z0-9])([A-Z])', E'\\1 \\2', 'g');
  -- A word of more than 2,047 bytes is a notice to the client; of more than 254 characters, not a word.
  if octet_length(v_words) > 2047 then
    v_words := regexp_replace(v_words, E'\\S{255,}' collate kata_data.c_utf8, ' ', 'g');
  end if;
  -- Dictionaries, too, take lower cases by the locale.
  return lower(v_words collate kata_data.c_utf8);
end
$$;
comment on function kata_data.search_words(text) is 'A text as the words that a text search configuration takes from it.';

create or replace function kata_data.unspaced_scripts() returns text
language sql immutable
as $$
  -- Thai and Lao, Myanmar, Khmer, Kana, Han and its extensions, Hangul.
  select E'[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff]'
$$;
comment on function kata_data.unspaced_scripts() is 'A pattern of the characters that are found by pairs.';

create or replace function kata_data.other_digits() returns text
language sql immutable
as $$
  -- Arabic-Indic, Persian, Devanagari and Bengali ones.
  select E'\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669\u06f0\u06f1\u06f2\u06f3\u06f4\u06f5\u06f6\u06f7\u06f8\u06f9'
    || E'\u0966\u0967\u0968\u0969\u096a\u096b\u096c\u096d\u096e\u096f\u09e6\u09e7\u09e8\u09e9\u09ea\u09eb\u09ec\u09ed\u09ee\u09ef'
$$;
comment on function kata_data.other_digits() is 'The digits of scripts that have their own, four times 0 to 9.';

create or replace function kata_data.terms(config text, body text) returns table (term text, occurrences integer)
language sql stable rows 30
as $$
  with form as materialized (
    select f.form, f.form !~ kata_data.unspaced_scripts() collate kata_data.c_utf8 as is_spaced
    from (
      -- One text, not an expression that each of its uses computes again.
      select kata_data.search_form(b.body) as form
      from (select left(terms.body, 65536) as body offset 0) b
      offset 0
    ) f
  ),
  word as (
    select l.lexeme as term, cardinality(l.positions) as occurrences
    from form f
    -- The name is looked up once for all messages.
    cross join lateral unnest(to_tsvector((select terms.config::regconfig), kata_data.search_words(f.form))) l
  ),
  identifier as (
    select lower(m.match[1] collate kata_data.c_utf8) as term, 1 as occurrences
    from form f
    cross join lateral regexp_matches(
      f.form, '([[:alnum:]]+(?:[-_./:@#][[:alnum:]]+)+|[a-z]+[A-Z][[:alnum:]]*)' collate kata_data.c_utf8, 'g') m(match)
    where length(m.match[1]) <= 200
  ),
  pair as (
    select case
      when p.next is not null then p.character || p.next
      -- A run of one character is a term of its own.
      when p.ordinality = 1 then p.character
    end as term
    from (
      select c.character, c.ordinality, lead(c.character) over (partition by r.ordinality order by c.ordinality) as next
      from form f
      cross join lateral regexp_matches(f.form, '(' || kata_data.unspaced_scripts() || '+)', 'g') with ordinality r(run, ordinality)
      cross join lateral string_to_table(r.run[1], null) with ordinality c(character, ordinality)
      where not f.is_spaced
    ) p
  )
  select t.term, sum(t.occurrences)::integer
  from (
    select w.term, w.occurrences from word w
    union all
    select i.term, i.occurrences from identifier i
    union all
    select p.term, 1 from pair p
  ) t
  where t.term <> ''
  group by t.term
$$;
comment on function kata_data.terms(text, text) is
'The terms of a text, and how often each occurs.

config: a text search configuration. body: the text; of the first 65,536 characters.
Cost: linear in the length of the text.';

create or replace function kata_data.call_texts(tool_calls jsonb) returns text
language sql immutable
as $$
  -- Arguments are JSON in a string: line breaks in it are written \n, and characters may be written \u6771.
  select string_agg(
    concat_ws(' ', c.call #>> '{custom,name}', c.call #>> '{custom,input}', c.call #>> '{function,name}', replace(replace(replace(
      case
        when position(E'\\u' in c.call #>> '{function,arguments}') > 0
          then coalesce(kata_data.as_json(c.call #>> '{function,arguments}')::text, c.call #>> '{function,arguments}')
        else c.call #>> '{function,arguments}'
      end, E'\\\\', '/'), E'\\n', ' '), E'\\t', ' ')), ' ' order by c.ordinality)
  from jsonb_array_elements(tool_calls) with ordinality c(call, ordinality)
$$;
comment on function kata_data.call_texts(jsonb) is 'The names and arguments of tool calls as text; null for none.';

create or replace function kata_data.search_text(message kata_data.message) returns text
language sql stable
as $$
  select concat_ws(' ', message.content, message.tool_name, case when message.tool_calls is not null then kata_data.call_texts(message.tool_calls) end)
$$;
comment on function kata_data.search_text(kata_data.message) is
'What a message says, as it is searched: its text, the name of its tool, its calls. Call ids are left out: each would be a term of its own.';

create or replace function kata_data.term_weight(occurrences integer, length bigint) returns integer
language sql immutable
as $$
  select greatest(
    1, least(255, round(255.0::float8 * occurrences / (occurrences + 0.6::float8 * (0.7::float8 + 0.3::float8 * length / 20)))))::integer
$$;
comment on function kata_data.term_weight(integer, bigint) is 'The weight of a term in a message of so many terms, 1 to 255.';

create or replace function kata_data.amended_messages(context_id uuid, at bigint) returns setof kata_data.message
language plpgsql stable rows 1
as $$
declare
  v_view kata_data.view;
  v_undone bigint[];
begin
  v_view := kata_data.view_at(context_id, at);
  if v_view.amended_from is null then
    return;
  end if;
  v_undone := kata_data.undone_versions(context_id, v_view.amended_from, at, v_view.rewound);
  return query
  select w.*
  from (
    select distinct on (a.version) a as amendment
    from kata_data.path_changes(amended_messages.context_id, v_view.amended_from, at) c
    join kata_data.amendment a on a.change_id = c.change_id
    where c.kind = 'amendment'
      and c.version <> all (v_undone)
      and not v_view.rewound @> c.version
    order by a.version, a.change_id desc
  ) a
  cross join lateral (
    select m as said
    from kata_data.message m
    where m.segment_id = (a.amendment).segment_id
      and m.version = (a.amendment).version
    offset 0
  ) m
  cross join lateral kata_data.amended(m.said, a.amendment) w;
end
$$;
comment on function kata_data.amended_messages(uuid, bigint) is
'The amended messages of a path as of a version, visible or not, in the words in force; in no order.

Cost: O(view changes since the oldest amendment).';

create or replace function kata_data.amended_terms(context_id uuid, at bigint, config text)
returns table (version bigint, term text, weight integer)
language plpgsql stable rows 100
as $$
begin
  return query
  select m.version, t.term, kata_data.term_weight(t.occurrences, sum(t.occurrences) over (partition by m.version))
  from kata_data.amended_messages(amended_terms.context_id, at) m
  left join lateral kata_data.terms(config, concat_ws(' ', m.name, kata_data.search_text(m))) t on true;
end
$$;
comment on function kata_data.amended_terms(uuid, bigint, text) is
'The terms of the amended messages of a path with their weights; a message without a term has one row with null.';

create or replace function kata_data.message_terms(segment_id uuid, low bigint, high bigint, config text)
returns table (term text, version bigint, weight integer)
language sql stable rows 1000
as $$
  -- The weight is the saturation of BM25 with k1 = 0.6 and b = 0.3, against a fixed length of 20 terms instead of the average one: so it
  -- depends on the message alone.
  select d.term, m.version,
    kata_data.term_weight(d.occurrences, d.length)
  from (
    select m as message, m.version
    from kata_data.message m
    where m.segment_id = message_terms.segment_id
      and m.version between low and high
      and not exists (
        select from kata_data.erasure e
        where e.segment_id = m.segment_id
          and e.version = m.version)
    offset 0
  ) m
  cross join lateral (
    select t.term, t.occurrences, sum(t.occurrences) over () as length
    from kata_data.terms(message_terms.config, concat_ws(' ', (m.message).name, kata_data.search_text(m.message))) t
  ) d
$$;
comment on function kata_data.message_terms(uuid, bigint, bigint, text) is
'The terms of some messages of a segment with their weights, 1 to 255. Erased messages have none.

config: a text search configuration.
Cost: linear in the length of the messages.';
