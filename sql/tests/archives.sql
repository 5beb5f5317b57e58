-- A family comes out of its archive as it went in, and an archive that is not as it was written is refused.

begin;
select plan(85);

select fixture.context('whole', '{"min_interval_seconds": 0, "preserve_recent_count": 0, "min_gain_tokens": 0}') as whole \gset
select fixture.talk('whole',
  'system 10, user 20, assistant 20 calls a b, tool 300 answers a, tool 30 answers b, user 4 pinned, assistant 20');
select kata.append(:'whole', '[{"role": "user", "content": "by id", "external_id": "x-1", "occurred_at": "2026-01-01T00:00:00.5+02:00",
  "metadata": {"n": 1.50, "none": null}, "token_count": 4}]', idempotency_key => 'key');
select kata.append_record(:'whole', 'note', 'null', 'r-1');
select kata.append_record(:'whole', 'note', '{"a": [1.0, null]}');
select kata.elide(:'whole', 4, keep_tokens => 5);
select kata.amend(:'whole', 2, '{"content": "amended words"}');
select kata.amend(:'whole', 2, '{"name": "Ann"}');
select kata.set_tools(:'whole', '[{"name": "b", "a": 1.0}]');
select fixture.context('other') as other \gset
select kata.merge(:'other', :'whole', '{[2,2]}');
select kata.checkpoint(:'whole', 'Önce', 5, 'a note');
select fixture.fork('whole', 8, 'branch') as branch \gset
select fixture.talk('branch', 'assistant 7, user 9');
select kata.rewind(:'branch', 9);
select kata.elide(:'branch', 5, keep_tokens => 2);
select kata.merge(:'whole', :'branch');
select kata.compact(:'whole', 'digest', true);
select b.compaction_id from kata.begin_compaction(:'branch', force => true) b;
select kata.undo(:'whole', (select u.version from kata.usage(:'whole') u));
select kata.add_artifact(:'whole', 'file', 'x.py', 'null', 2), kata.put_token_counts(:'whole', 'cl100k_base', '{1,2}', '{9,8}');
select r.request_id as request from kata.request(:'whole', 100000, 'openai', 'gpt', options => '{"b": 1, "a": 2.0}') r \gset
select a.version from kata.append(:'whole', '[{"role": "assistant", "content": "the answer", "token_count": 3}]', request_id => :request) a;
select r.request_id from kata.request(:'branch', 100000, 'anthropic', 'claude', reserve => 100) r;
select kata.erase_message(:'whole', 7, 'a wish');
select r.request_id as later from kata.request(:'branch', 100000, 'openai', 'gpt') r \gset
select fixture.fork('branch', 9, 'leaf') as leaf \gset
select kata.archive_context(:'leaf');
select fixture.fork('whole', 3, 'gone') as gone \gset
select kata.delete_context(:'gone');
select p.removed from kata.purge_context(:'gone') p;

create temporary table always as select t.tgrelid, t.tgname from pg_trigger t where t.tgenabled = 'A';
-- A family disappears from the database.
create function pg_temp.forget(family_id uuid) returns void
language plpgsql
as $$
declare
  v_contexts uuid[] := array(select c.context_id from kata_data.context c where c.family_id = forget.family_id);
  v_table record;
begin
  for v_table in
    select c.relname as name,
      (select quote_ident(a.attname) from pg_attribute a where a.attrelid = c.oid and a.attname in ('segment_id', 'context_id', 'scope')
       order by a.attname limit 1) as owner
    from pg_class c
    where c.relnamespace = 'kata_data'::regnamespace
      and c.relkind = 'r'
      and c.relname <> 'family_import'
    order by c.relname = 'artifact_mention', c.relname in ('view_change', 'head'), c.relname = 'context'
  loop
    execute format('alter table kata_data.%I disable trigger all', v_table.name);
    if v_table.owner is not null then
      execute format('delete from kata_data.%I t where t.%s = any ($1)', v_table.name,
        case v_table.owner when 'scope' then 'scope' else v_table.owner || '::text' end)
      using case v_table.owner when 'scope' then array(select 'context:' || c from unnest(v_contexts) c) else v_contexts::text[] end;
    end if;
    if v_table.name in ('request_profile', 'tool_list') then
      execute format('delete from kata_data.%I', v_table.name);
    end if;
    if v_table.name = 'artifact_mention' then
      delete from kata_data.artifact_mention m where not exists (select from kata_data.artifact a where a.artifact_id = m.artifact_id);
    end if;
    execute format('alter table kata_data.%I enable trigger all', v_table.name);
  end loop;
  for v_table in select t.tgrelid::regclass as name, quote_ident(t.tgname) as owner from always t loop
    execute format('alter table %s enable always trigger %s', v_table.name, v_table.owner);
  end loop;
end
$$;
create function pg_temp.lines(context_id uuid, max_rows integer default 1000) returns jsonb
language plpgsql
as $$
declare
  v_lines text[] := '{}';
  v_page text[];
begin
  loop
    v_page := array(select e.line from kata.export_family(context_id, v_lines[cardinality(v_lines)], max_rows) e);
    exit when v_page = '{}';
    v_lines := v_lines || v_page;
  end loop;
  return ('[' || array_to_string(v_lines, ',') || ']')::jsonb;
end
$$;
-- The result of an import of lines; nothing stays of it.
create function pg_temp.attempt(lines jsonb) returns text
language plpgsql
as $$
declare
  v_found text;
  v_detail text;
begin
  begin
    v_found := (select concat_ws(' ', case when i.is_new then 'new' else 'known' end, i.missing) from kata.import_family(lines) i);
    raise exception using errcode = 'KC999';
  exception
    when sqlstate 'KC999' then return v_found;
    when others then
      get stacked diagnostics v_detail = pg_exception_detail;
      return concat_ws(': ', sqlstate, v_detail);
  end;
end
$$;
create temporary table archive as select pg_temp.lines(:'branch') as lines;
-- The place of the first line of a part with a key, from 0.
create function pg_temp.place(part text, key text default null) returns integer
language sql
as $$
  select (min(l.place) - 1)::integer
  from archive a
  cross join lateral jsonb_array_elements(a.lines) with ordinality l(line, place)
  where l.line ? part and (key is null or l.line -> part ? key)
$$;
create function pg_temp.changed(part text, key text, value jsonb) returns jsonb
language sql
as $$
  select jsonb_set(a.lines, array[coalesce(pg_temp.place(part, key), pg_temp.place(part))::text, part, key], value) from archive a
$$;
create function pg_temp.without(place integer) returns jsonb language sql as $$ select a.lines - place from archive a $$;
create function pg_temp.swapped(a integer, b integer) returns jsonb
language sql
as $$
  select jsonb_set(jsonb_set(r.lines, array[a::text], r.lines -> b), array[b::text], r.lines -> a) from archive r
$$;
create temporary table body as select r::text as body from kata.replay(:'branch', :later) r;
create temporary table before as
select h.context_id, h.digest from kata.heads() h;

-- Out

select is(
  pg_temp.lines(:'whole', 1), a.lines, 'pages of one line make the same archive, whatever member of the family is named') from archive a;
select is(pg_temp.lines(:'gone', 7), a.lines, 'a purged member, too') from archive a;
select is(a.lines -> 0 ->> 'kata_archive', '1', 'the first line names the format') from archive a;
select is(
  a.lines #> '{0,counts}',
  (select jsonb_object_agg(c.part, c.lines)
   from (select k.part, count(*) as lines
         from jsonb_array_elements(a.lines - 0) l(line)
         cross join lateral jsonb_object_keys(l.line) k(part) group by k.part) c),
  'and says how many lines of each part follow')
from archive a;
select is(
  (select array_agg(p.part order by p.place) from kata_data.archive_parts() p where not a.lines #> '{0,counts}' ? p.part), null,
  'the family of this test has lines of every part')
from archive a;
select is(strpos(a.lines::text, 'assistant 20"'), 0, 'an erased text is not in it') from archive a;
select throws_ok(
  format('select * from kata.export_family(%L, %L)', :'whole', after), 'KC017', null, format('%s is not a line of the archive', after))
from unnest(array['x', '1', '{}', '{"message": 1}', '{"head": {"context_id": "x"}}',
  jsonb_build_object('head', jsonb_build_object('context_id', :'other'))::text]) after;

-- In

select is(pg_temp.attempt(a.lines), 'known 0', 'an archive of a family that is there, and equal, changes nothing') from archive a;
select pg_temp.forget(:'whole');
select is_empty($$select from kata_data.context c where c.name = 'whole'$$, 'the family is gone');
select is(pg_temp.attempt(a.lines), 'new 0', 'the archive of a family that is not there is imported') from archive a;
select is(
  (select string_agg(concat_ws(' ', i.is_new, i.missing), ', ')
   from (select jsonb_agg(l.line order by l.place) as lines
         from archive a, jsonb_array_elements(a.lines) with ordinality l(line, place) group by l.place <= 9,
  l.place / 7 order by min(l.place)) b
   cross join lateral kata.import_family(b.lines) i) like '%t 0', true, 'in as many calls as one likes');
select is(pg_temp.lines(:'branch'), a.lines, 'its archive is the same then') from archive a;
select is_empty(format('select * from kata.verify(%L)', c.id), 'it verifies')
from unnest(array[:'whole', :'branch', :'leaf', :'gone', :'other']::uuid[]) c(id);
select set_eq('select context_id, digest from before', 'select h.context_id, h.digest from kata.heads() h', 'its heads are the same');
select lives_ok('set constraints all immediate', 'it may be committed');
set constraints all deferred;
select is(pg_temp.attempt(a.lines), 'known 0', 'the archive once more changes nothing') from archive a;
select is(kata.find_message(:'whole', 'x-1'), 8::bigint, 'a message is found by its external id');
select is((select k.function_name from kata.key_result(:'whole', 'key') k), 'append', 'a key has its result');
select is(
  (select array_agg(r.data order by r.version) from kata.records(:'whole') r), array['null', '{"a": [1.0, null]}']::jsonb[],
  'JSON null and numbers are as they were');
select is((select r from kata.replay(:'branch', :later) r)::text, b.body, 'a request is replayed') from body b;
select lives_ok(format($$select kata.erase_message(%L, 12, 'amended by mistake')$$, :'whole'), 'an amendment is erased');
select is(
  (select m.content from kata.get_message(:'other', 1) m), '', 'and with it the copy that has its words in another family');

-- A family that is another one

savepoint another;
select kata.append_message(:'whole', 'user', 'later', 1);
select matches(pg_temp.attempt(a.lines), '^KC017: Rows of ', 'a family that has grown is not equal') from archive a;
rollback to another;
select pg_temp.forget(:'whole');
select kata.import_family(a.lines) from archive a;
select is(
  pg_temp.attempt(pg_temp.changed('message', 'content', '"forged"')),
  format('KC017: A row of message is another one: segment_id %s, version 1.', :'whole'), 'nor one with another text');
select is(
  pg_temp.attempt(pg_temp.changed('context', 'metadata', '{"a": 1}')),
  format('KC017: A row of context is another one: context_id %s.', :'whole'), 'nor one with other metadata');
select pg_temp.forget(:'whole');

-- What is refused

select is(
  pg_temp.attempt(pg_temp.changed('message', 'content', '"forged"')) ~ '^KC017: Context .* version 1, digest', true,
  'a text that was changed');
select is(
  pg_temp.attempt(pg_temp.changed('message', 'digest', '"\\x00"')) ~ '^KC017: Context .* version 1, digest', true,
  'a digest that was changed');
select is(pg_temp.attempt(pg_temp.changed('message', 'role', '"root"')) ~ '^KC017: Its role is "root"', true, 'a role that no message has');
select is(
  pg_temp.attempt(pg_temp.changed('message', 'token_count', '1e30')) ~ '^KC017: Postgres refuses it', true, 'a number that does not fit');
select is(pg_temp.attempt(pg_temp.changed('message', 'version', '"one"')) ~ '^KC017: Postgres refuses it', true, 'a text for a number');
select is(pg_temp.attempt(pg_temp.changed('message', 'salt', 'null')) ~ '^KC017', true, 'a message without a salt');
select is(
  pg_temp.attempt(pg_temp.changed('message', 'content"; drop table x; --', '1')) ~ '^KC017: Its key', true, 'a column that is not one');
select is(
  pg_temp.attempt(jsonb_set(a.lines, '{3}', '{"pg_authid": {}}')) ~ '^KC017: It is not an object with the name of a part', true,
  'a table that is not a part')
from archive a;
select is(
  pg_temp.attempt(jsonb_set(a.lines,
  '{3}', (a.lines -> pg_temp.place('message')) || (a.lines -> 3))) ~ '^KC017: It is not an object with the name of a part', true,
  'two lines in one')
from archive a;
select is(pg_temp.attempt(jsonb_set(a.lines, '{3}', odd)) ~ '^KC017', true, format('%s instead of a line', left(odd::text, 20)))
from archive a
cross join unnest(array['null', '1', '[]', '{}', '{"message": null}', '{"message": []}']::jsonb[]) odd;
select is(
  pg_temp.attempt(pg_temp.changed('record', 'data', (repeat('[', 500) || repeat(']', 500))::jsonb)) ~ '^KC017', true,
  'JSON that nests too deep');
select is(pg_temp.attempt(pg_temp.changed('context', 'policy', '{"x": 1}')) ~ '^KC013', true, 'a policy that is none');
select is(pg_temp.attempt(pg_temp.changed('context', 'tenant', '"acme"')) ~ '^(KC017|42501)', true, 'a context of another tenant');
select is(pg_temp.attempt(pg_temp.changed('head', 'context_id', to_jsonb(:'other'::uuid))) ~ '^KC017', true, 'a row of another family');
select is(
  pg_temp.attempt(pg_temp.changed('lineage', 'segment_id', to_jsonb(:'other'::uuid))),
  'KC017: Its message is not on the path of its context.', 'a path through another family');
select is(
  pg_temp.attempt(pg_temp.changed('stub', 'segment_id', to_jsonb(:'other'::uuid))),
  'KC017: Its message is not on the path of its context.', 'a stub of another family');
select is(
  pg_temp.attempt(pg_temp.changed('amendment', 'saved_tokens', '7')) ~ '^KC017: Context .*amendment', true,
  'an amendment that does not fit');
select is(
  pg_temp.attempt(pg_temp.changed(c.part, c.key, v.value)), 'KC017: ' || c.problem, format('%s of %s that is %s', c.key, c.part, c.value))
from (values
  ('amendment', 'parts', '{"type": 1}', 'Its parts are not an array of objects with a type.'),
  ('amendment', 'content', '" "', 'It would be blank.'),
  ('amendment', 'name', 'null', 'A key of it is null: what it has not is left out.'),
  ('summary', 'content', '" "', 'It is blank.'),
  ('summary', 'role', '"tool"', 'It is a tool message without tool_call_id.'),
  ('summary', 'metadata', '[]', 'Its metadata and provider must be objects.'),
  ('message', 'metadata', 'null', 'A key of it is null: what it has not is left out.'),
  ('message', 'created_at', '"infinity"', 'Its created_at is infinity, which is not a time until now.'),
  ('head', 'last_at', '"2290-01-01"', 'Its last_at is 2290-01-01, which is not a time until now.'),
  ('message', 'created_at', '"0001-01-01 BC"', 'Its created_at is 0001-01-01 BC, which is not a time until now.'),
  ('act', 'acted_at', '"-infinity"', 'Its acted_at is -infinity, which is not a time until now.'),
  ('head', 'due_at', '"infinity"', 'Its due_at is infinity, which is not a time until now.')
) c(part, key, value, problem)
cross join lateral (select c.value::jsonb) v(value);
select is(
  pg_temp.attempt(pg_temp.changed('tool_list', 'content', '"[]"')), 'KC017: Its digest is not that of the tools.',
  'tools under the digest of others');
select is(
  pg_temp.attempt(pg_temp.changed('request_profile', 'model', '"other"')), 'KC017: Its digest is not that of the profile.',
  'a profile under the digest of another one');
select is(
  pg_temp.attempt(pg_temp.changed('request_profile', 'model', '""')), 'KC017: It is "", and the policy names none.',
  'a profile that kata.request refuses');
select matches(
  pg_temp.attempt(pg_temp.changed('request_profile', 'tools_tokens', '2000000000')), '^KC017: Its key "tools_tokens" is unknown',
  'a number of tokens of tools, which other families would take for theirs');
select is(pg_temp.attempt(pg_temp.changed('token_count', 'version', '0')) ~ '^KC017: Context .*orphan row', true, 'a count of no message');
select is(pg_temp.attempt(pg_temp.changed('erasure', 'version', '8')) ~ '^KC017', true, 'a receipt of another message');
select is(
  pg_temp.attempt(pg_temp.changed('act', 'acted_by', '"mallory"')) ~ '^KC017: Context .*act digest', true, 'an act by another role');
select is(pg_temp.attempt(pg_temp.without(pg_temp.place('head'))) ~ '^new 1$', true, 'a line that is missing is waited for');
select is(
  pg_temp.attempt(jsonb_insert(a.lines, array[pg_temp.place('message')::text], a.lines -> pg_temp.place('message'))) ~ '^KC017', true,
  'a line that comes twice') from archive a;
select is(
  pg_temp.attempt(pg_temp.swapped(pg_temp.place('view_change'), pg_temp.place('view_change') + 1)),
  'KC017: It is not in the order of an archive.', 'lines in another order');
select is(pg_temp.attempt(pg_temp.without(0)) ~ '^KC017: The first line of an archive', true, 'an archive without its first line');
select is(
  pg_temp.attempt(jsonb_set(a.lines, '{0,tenant}', '"acme"')) ~ '^KC017: It is of tenant "acme"', true,
  'an archive of another tenant') from archive a;
select is(
  pg_temp.attempt(jsonb_set(a.lines, '{0,kata_archive}', '2')), 'KC017: Its format is 2; this release reads 1.',
  'an archive of a later format') from archive a;
select is(
  pg_temp.attempt(jsonb_set(a.lines, '{0,tokenizers,0,name}', '"odd"')) ~ '^KC017: Its tokenizer "odd" is unknown here', true,
  'a tokenizer that is unknown') from archive a;

select is(
  i.missing > 0, true, 'an import that has begun') from archive a cross join lateral kata.import_family(jsonb_build_array(a.lines -> 0)) i;
select is(pg_temp.attempt(a.lines), 'KC017: The archive before it has lines that are missing.', 'keeps the next one out') from archive a;
select throws_ok('set constraints all immediate', 'KC017', null, 'and is not committed');

select * from finish();
rollback;
