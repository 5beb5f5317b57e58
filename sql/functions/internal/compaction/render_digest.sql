-- The text of a digest, part by part; a part without content is left out.

create or replace function kata_data.render_digest(facts jsonb, material jsonb, scale numeric) returns text
language plpgsql immutable
as $$
declare
  v_requests jsonb := coalesce(nullif(material -> 'requests', 'null'::jsonb), '[]');
  v_words integer := greatest(200, 2000 * scale);
  v_request integer := greatest(200, 8000 * scale);
  v_lasts integer := greatest(1, least(5, round(20 * scale)));
begin
  return concat_ws(E'\n\n',
    kata_data.digest_head(facts),
    E'The plan, as it was last written:\n' || kata_data.joined_lines(material -> 'plan', ceil(40 * scale)::integer),
    E'Last words of the assistant:\n' || kata_data.quoted(nullif(material -> 'words', 'null'::jsonb), v_words),
    E'Questions in them:\n' || kata_data.questions_in(material #>> '{words,text}', v_words),
    E'Last messages of the user:\n' || kata_data.quoted_requests(v_requests, false, v_lasts, v_request),
    E'First message of the user:\n' || kata_data.quoted_requests(v_requests, true, v_lasts, v_request),
    E'Files changed, last first:\n' || kata_data.joined_lines(material -> 'changes', ceil(50 * scale)::integer),
    E'Commands that failed, last first:\n' || kata_data.quoted_failures(material -> 'failures', ceil(3 * scale)::integer),
    E'Artifacts, last touched first:\n' || kata_data.joined_lines(material -> 'artifacts', ceil(60 * scale)::integer),
    E'Summary before:\n' || kata_data.cut_middle(material ->> 'summaries', greatest(1000, 64000 * scale)::integer));
end
$$;
comment on function kata_data.render_digest(jsonb, jsonb, numeric) is
'A digest of some size.

facts, material: as digest_facts and digest_material return them. scale: 1 for the whole of it, less for less of each part.';

create or replace function kata_data.digest_head(facts jsonb) returns text
language sql immutable
as $$
  select format('Versions %s to %s are left out here: %s messages (%s), %s tokens%s. Each can be read by its version.',
    facts -> 'first_version', facts -> 'last_version', sum(r.value::bigint), string_agg(format('%s %s', r.value, r.key), ', ' order by r.key collate "C"),
    facts -> 'tokens', ', ' || nullif(facts ->> 'media', '0') || ' images and files')
  from jsonb_each_text(facts -> 'roles') r
$$;
comment on function kata_data.digest_head(jsonb) is 'What a digest leaves out, in one line.';

create or replace function kata_data.joined_lines(lines jsonb, at_most integer) returns text
language sql immutable
as $$
  select string_agg(l.line, E'\n' order by l.place)
  from jsonb_array_elements_text(nullif(lines, 'null'::jsonb)) with ordinality l(line, place)
  where l.place <= at_most
$$;
comment on function kata_data.joined_lines(jsonb, integer) is 'The first lines of an array; null where there is none.';

create or replace function kata_data.quoted_requests(requests jsonb, first boolean, lasts integer, characters integer) returns text
language sql immutable
as $$
  select string_agg(kata_data.quoted(r.request, characters), E'\n' order by r.place)
  from (
    select r.request, r.place, r.place <= jsonb_array_length(requests) - lasts or not r.request ? 'is_last' as is_earlier
    from jsonb_array_elements(requests) with ordinality r(request, place)
  ) r
  where r.is_earlier = first
    and (not first or r.request ? 'is_first')
$$;
comment on function kata_data.quoted_requests(jsonb, boolean, integer, integer) is
'Requests of the user as a digest shows them; null where there is none.

first: the first request, unless it is among the last; else the last ones. lasts: how many are last ones. characters: how much of each is
shown.';

create or replace function kata_data.quoted_failures(failures jsonb, at_most integer) returns text
language sql immutable
as $$
  select string_agg(
    kata_data.quoted(
      f.failure || jsonb_build_object('text', concat('$ ', kata_data.one_line(f.failure ->> 'command', 300), E'\n', f.failure ->> 'text')), 1300),
    E'\n' order by f.place)
  from jsonb_array_elements(nullif(failures, 'null'::jsonb)) with ordinality f(failure, place)
  where f.place <= at_most
$$;
comment on function kata_data.quoted_failures(jsonb, integer) is 'Commands that failed, each with the end of its result; null where there is none.';

create or replace function kata_data.questions_in(content text, shown integer) returns text
language sql immutable
as $$
  select string_agg(q.question, E'\n' order by q.place)
  from (
    select '- ' || kata_data.one_line(btrim(m.match[1]), 300) as question, m.place
    from regexp_matches(right(content, 20000), E'([^.!?\n]+[?\uff1f\u061f])', 'g') with ordinality m(match, place)
    where length(content) > shown
    order by m.place desc
    limit 5
  ) q
$$;
comment on function kata_data.questions_in(text, integer) is
'The last five questions in a text of which only so many characters are shown, a line each; else null.';
