-- Messages are found by their words: in the whole history, on any fork, as of any version, the same whether they are indexed or not.

begin;
select plan(187);

create function pg_temp.say(context text, content text, role text default 'user', name text default null) returns bigint
language sql
as $$
  select kata.append_message(fixture.id(context), role, content, 1, name => name)
$$;
create function pg_temp.found(context text, query text, at bigint default null) returns bigint[]
language sql
as $$
  select array(select s.version from kata.search(fixture.id(context), query, at => at) with ordinality s order by s.ordinality)
$$;
create function pg_temp.recalled(context text, query text, at bigint default null) returns bigint[]
language sql
as $$
  select array(select r.version from kata.recall(fixture.id(context), query, at => at) with ordinality r order by r.ordinality)
$$;
-- Everything that a context answers to some queries: rows, scores and order.
create function pg_temp.answers(context_id uuid, at bigint default null, is_covered boolean default true) returns text[]
language sql
as $$
  select array(
    select concat_ws(' ', q.query, s.ordinality, s.version, s.rank, s.headline, s.name, s.token_count,
    case when is_covered then s.compacted_into end)
    from (values ('lighthouse keeper'), ('storm'), ('boat harbor fish'), ('src/net/retry_policy.py'), ('"red boat"'), ('the')) q(query)
    cross join lateral kata.search(context_id, q.query, 1000, at) with ordinality s
    union all
    select concat_ws(' ', q.query, r.ordinality, r.version, r.score, r.content, r.text_rank, case when is_covered then r.compacted_into end)
    from (values ('lighthouse keeper'), ('storm'), ('boat harbor fish'), ('retryPolicy')) q(query)
    cross join lateral kata.recall(context_id, q.query, max_rows => 1000, at => at) with ordinality r
    order by 1)
$$;

-- Words

select fixture.context('talk') as talk \gset
select pg_temp.say('talk', c.content, c.role, c.name)
from (values
  ('user', 'ann', 'Where did you spend the holidays?'), ('assistant', 'bob', 'By the sea, in a lighthouse.'),
  ('user', 'ann', 'It was stormy, was it not?'), ('assistant', 'bob', 'The keepers of the lighthouse told of storms. A red boat sank.'),
  ('user', 'ann', 'I read src/net/retry_policy.py and changed getUserName.'), ('assistant', 'bob', 'The boat that sank was red, then?'),
  ('user', 'ann', '<read path="lib/parse.c" code="E1234">nothing</read>'), ('assistant', 'bob', 'My flight is HAT-136 on 2024-05-15.'),
  ('user', 'ann', 'happy to hear that'), ('assistant', 'bob', 'Goodbye!')) c(role, name, content);

select is(pg_temp.found('talk', t.query), t.versions, 'search: ' || t.query)
from (values
  ('lighthouses', '{2,4}'::bigint[]), ('storm', '{4}'), ('the keeper', '{4}'), ('the', '{}'), ('!?', '{}'),
  ('nothing like that here, zebra', '{7}'),
  ('retry_policy', '{5}'), ('src/net/retry_policy.py', '{5}'), ('user name', '{5}'), ('getUserName', '{5}'), ('E1234', '{7}'),
  ('lib/parse.c', '{7}'), ('HAT-136', '{8}'), ('136', '{8}'), ('2024-05-15', '{8}'), ('happiness', '{9}'), ('HAPPY', '{9}'),
  ('boat', '{6,4}'), ('"red boat"', '{4}'), ('boat "sank was red"', '{6}'), ('boat "RED BOAT"', '{}'), ('boat ""', '{6,4}'),
  ('.*|(boat)+', '{6,4}'), ('boat & !sank', '{6,4}'), ('%boat%', '{6,4}'), ('\boat\b', '{6,4}'), ('ann', '{3,9,1,7,5}')) t(query, versions);
select is(
  (select row(s.version, s.role, s.headline, s.token_count, s.compacted_into, s.name)::text from kata.search(:'talk', 'parse') s),
  '(7,user,"<read path=""lib/parse.c"" code=""E1234"">nothing</read>",1,,ann)', 'a row shows the message');
select ok(h.headline like '…hay%the needle hay%…' and length(h.headline) <= 162, 'a headline is cut around the rarest term')
from kata_data.headline(repeat('hay ', 1000) || 'the needle ' || repeat('hay ', 1000), 'needl') h(headline);
select is(kata_data.headline('東京都に住む' || repeat('あ', 300), '東京'),
  '東京都に住む' || repeat('あ', 154) || '…', 'a headline is cut between characters');
select is(pg_temp.recalled('talk', 'zorblax'), '{}', 'recall finds nothing for a word that was not said');
select is(
  pg_temp.recalled('talk', 'E1234'), '{7,8,6,9,10,5,4,3}'::bigint[], 'recall brings the neighbors, those behind first');
select is(
  (select row(r.version, r.role, r.content, r.token_count, r.score, r.text_rank, r.vector_rank, r.compacted_into, r.name,
  r.group_version, r.kind)::text
   from kata.recall(:'talk', 'lighthouse keeper', max_rows => 1) r),
  '(4,assistant,"The keepers of the lighthouse told of storms. A red boat sank.",1,1,1,,,bob,4,message)',
  'a row of recall shows the message');
select is((select count(*) from kata.recall(:'talk', 'E1234', max_tokens => 3)), 3::bigint, 'recall takes what fits');
select is((select count(*) from kata.search(:'talk', 'ann', 2)), 2::bigint, 'search takes max_rows');
select is(pg_temp.found('talk', 'boat', 5), '{4}'::bigint[], 'as of a version later messages are not found');
select is(pg_temp.found('talk', 'boat', 0), '{}'::bigint[], 'as of the beginning there is nothing');

-- Calls of tools

select fixture.context('tools') as tools \gset
select kata.append(:'tools', $$[
  {"role": "user", "content": "look it up", "token_count": 1},
  {"role": "assistant", "content": null, "token_count": 10, "tool_calls": [{"id": "call_77", "type": "function",
    "function": {"name": "read_file",
      "arguments": "{\"path\": \"docs/manual.md\", \"text\": \"first\\nsecond\", \"place\": \"\\u6771\\u4eac\"}"}}]},
  {"role": "tool", "tool_call_id": "call_77", "tool_name": "read_file", "content": "a manual", "token_count": 100}]$$);
select is(pg_temp.found('tools', t.query), t.versions, 'a call is found by: ' || t.query)
from (values ('docs/manual.md', '{2,3}'::bigint[]), ('second', '{2}'), ('東京', '{2}'), ('read_file', '{3,2}'), ('call_77', '{}'),
  ('manual', '{3,2}')) t(query, versions);
select is(
  (select array_agg(r.version order by r.text_rank) from kata.recall(:'tools', 'second', max_tokens => 50) r), '{1}'::bigint[],
  'a group that does not fit is passed over as a whole');
select is(
  (select array_agg(r.version order by r.text_rank) from kata.recall(:'tools', 'second', max_tokens => 110) r), '{2,3}'::bigint[],
  'tokens are those of whole groups, once');

-- Languages

select fixture.context('languages', '{"search_config": "simple"}') as languages \gset
select pg_temp.say('languages', t.content)
from (values
  ('The committee postponed its decision until the autumn.'), ('Der Ausschuss hat seine Entscheidung auf den Herbst verschoben.'),
  ('Le comité a reporté sa décision à l''automne.'), ('El comité aplazó su decisión hasta el otoño.'),
  ('Комитет отложил решение до осени.'),
  ('委员会把决定推迟到秋天。'), ('委員会は決定を秋まで延期しました。'), ('위원회는 결정을 가을까지 연기했습니다.'), ('คณะกรรมการเลื่อนการตัดสินใจไปถึงฤดูใบไม้ร่วง')) t(content);
select is(pg_temp.found('languages', t.query), array[t.version], format('a sentence is found by: %s', t.query))
from (values
  ('autumn', 1::bigint), ('Herbst', 2), ('DÉCISION', 3), ('otoño', 4), (normalize('otoño', nfd), 4), ('решение', 5), ('推迟', 6),
  ('秋天', 6), ('延期', 7), ('秋まで', 7),
  ('연기', 8), ('결정', 8), ('ตัดสินใจ', 9), ('ฤดู', 9)) t(query, version);
-- Eight languages: each by a word of its own with simple, and by another form of a word where PostgreSQL has a configuration.
create temporary table sentence as
select * from (values
  ('zh', 'simple', '委员会把关于码头的决定推迟到秋天。', '码头', null),
  ('ja', 'simple', '委員会は港の工事を秋まで延期しました。', '港の工事', null),
  ('ko', 'simple', '위원회는 항구에 대한 결정을 가을까지 연기했습니다.', '항구', null),
  ('th', 'simple', 'คณะกรรมการเลื่อนการตัดสินใจเรื่องท่าเรือไปถึงฤดูใบไม้ร่วง', 'ท่าเรือ', null),
  ('ar', 'arabic', 'أجلت اللجنة قرارات الميناء إلى الخريف.', 'الميناء', 'ميناء'),
  ('de', 'german', 'Der Ausschuss hat die Entscheidungen über den Hafen vertagt.', 'Hafen', 'Entscheidung'),
  ('ru', 'russian', 'Комитет отложил решения о новой гавани до осени.', 'гавани', 'решение'),
  ('hi', 'hindi', 'समिति ने बंदरगाह के फैसलों को शरद ऋतु तक टाल दिया।', 'बंदरगाह', 'फैसला')) s(language, config, content, word, form);
select fixture.context('eight', '{"search_config": "simple"}') as eight \gset
select pg_temp.say('eight', s.content) from sentence s;
select is(pg_temp.found('eight', s.word), array[s.place], format('simple finds a sentence in %s by a word', s.language))
from (select s.*, row_number() over () as place from sentence s) s;
select is((pg_temp.recalled('eight', s.content))[1], s.place, format('and recalls it by itself: %s', s.language))
from (select s.*, row_number() over () as place from sentence s) s;
select kata.index_search(:'eight');
select is(pg_temp.found('eight', s.word), array[s.place], format('indexed, too: %s', s.language))
from (select s.*, row_number() over () as place from sentence s) s;
select fixture.context('in ' || s.config, jsonb_build_object('search_config', s.config)) from sentence s where s.form is not null;
select pg_temp.say(x.name, x.content)
from (
  select 'in ' || c.config as name, s.content
  from sentence c
  cross join sentence s
  where c.form is not null
  order by c.config, s.language) x;
select is(pg_temp.found('in ' || s.config, s.form), array[s.place], format('%s finds another form of a word', s.config))
from (select s.*, row_number() over (order by s.language) as place from sentence s) s where s.form is not null;
select fixture.context('german', '{"search_config": "german"}') as german \gset
select pg_temp.say('german', 'Die Entscheidungen wurden verschoben.');
select is(pg_temp.found('german', 'Entscheidung'), '{1}'::bigint[], 'a configuration of the policy brings its stems');
select fixture.fork('german', 1, 'german fork') as german_fork \gset
select kata.set_policy(:'german_fork', '{"search_config": "english"}');
select is(pg_temp.found('german fork', 'Entscheidung'), '{1}'::bigint[], 'a fork searches with the configuration of its root');
select kata.index_search(:'german');
select kata.set_policy(:'german', '{"search_config": "simple"}');
select is(pg_temp.found('german', 'Entscheidung'), '{}'::bigint[], 'another configuration holds for what is indexed, too');
select is(pg_temp.found('german', 'die'), '{1}'::bigint[], 'and finds by its own terms');
select is(kata.index_search(:'german'), 0::bigint, 'which index_search writes anew');
select is(pg_temp.found('german', 'die'), '{1}'::bigint[], 'with the same answers');
select throws_ok($$select kata.create_context(policy => '{"search_config": "klingon"}')$$, 'KC013', null,
  'an unknown configuration is refused');

-- The same, however much is indexed

select fixture.context('harbor') as harbor \gset
select kata.append(:'harbor', jsonb_agg(jsonb_build_object(
  'role', case n % 2 when 0 then 'user' else 'assistant' end, 'name', case n % 2 when 0 then 'ann' else 'bob' end, 'token_count', 1,
  'content', concat_ws(' ', 'message', n, case when n % 7 = 0 then 'the lighthouse' end, case when n % 11 = 0 then 'a keeper' end,
    case when n % 13 = 0 then 'red boat' end, case when n % 5 = 0 then 'storms over the harbor' end, case when n % 97 = 0 then 'fish' end,
    case when n % 50 = 0 then 'src/net/retry_policy.py' end, repeat('word ', n % 30))) order by n))
from generate_series(1, 1200) n;
select kata.delete_messages(:'harbor', 35, 40);
select fixture.talk('harbor', 'user 1, user 2');
select kata.append(:'harbor', '[{"role": "user", "content": "the lighthouse keeper again", "token_count": 1}]');
select kata.head_version as before from (select (kata.get_context(:'harbor')).version as head_version) kata \gset
create temporary table answer as select pg_temp.answers(:'harbor') as now, pg_temp.answers(:'harbor', 600) as past;
select ok(cardinality(a.now) > 400 and cardinality(a.past) > 200, 'there are answers') from answer a;
select is(pg_temp.found('harbor', 'lighthouse "message 35 "'), '{}'::bigint[], 'a deleted message is not found');
select is(pg_temp.found('harbor', 'lighthouse "message 35 "', 1200), '{35}'::bigint[], 'as of a version before its deletion it is');
select is((select count(*) from kata.recall(:'harbor', 'keeper', max_rows => 1000) r where r.version between 35 and 40), 0::bigint,
  'nor recalled');
select is(kata.index_search(:'harbor', 100), 1104::bigint, 'index_search says how many versions are left');
select is(pg_temp.answers(:'harbor'), a.now, 'indexed in part: the same answers') from answer a;
select is(pg_temp.answers(:'harbor', 600), a.past, 'and as of a version') from answer a;
select is((select p.messages from kata.pending_search() p where p.context_id = :'harbor'), 1104::bigint,
  'pending_search lists what is left');
select is(kata.index_search(:'harbor', 930), 174::bigint, 'index_search goes on where it was');
select is(pg_temp.answers(:'harbor'), a.now, 'with a chunk of 1,024: the same answers') from answer a;
select is(kata.index_search(:'harbor'), 0::bigint, 'without a limit nothing is left');
select is(pg_temp.answers(:'harbor'), a.now, 'indexed: the same answers') from answer a;
select is(pg_temp.answers(:'harbor', 600), a.past, 'and as of a version') from answer a;
select is((select count(*) from kata.pending_search() p where p.context_id = :'harbor'), 0::bigint, 'pending_search lists it no more');
select is((select max(first_version) from kata_data.posting where segment_id = :'harbor' and term = 'messag'), 1152::bigint,
  'chunks begin at multiples of their size');
select is((select count(*) from kata_data.posting where segment_id = :'harbor' and term = 'messag'), 4::bigint, 'full chunks are merged');
select is(kata.index_search(:'harbor'), 0::bigint, 'indexing again does nothing');
select fixture.fork('harbor', 600, 'pier') as pier \gset
select is(pg_temp.answers(:'pier'), a.past, 'a fork answers as its parent as of that version') from answer a;
select fixture.fork('harbor', :before, 'quay') as quay \gset
select pg_temp.say('harbor', 'a lighthouse keeper, a storm and a red boat in the harbor');
select is(pg_temp.answers(:'quay'), a.now, 'whatever is appended there later') from answer a;
select pg_temp.say('quay', 'the lighthouse of the fork');
select is(pg_temp.found('quay', 'fork'), array[:before + 1]::bigint[], 'a fork finds its own words');
select is(pg_temp.found('harbor', 'fork'), '{}'::bigint[], 'and its parent does not');
select is(kata.index_search(:'quay'), 0::bigint, 'a fork indexes its own messages');
select is(pg_temp.answers(:'quay', :before), a.now, 'an inherited index answers the same') from answer a;
select fixture.compact('harbor') as summary \gset
select is(pg_temp.answers(:'harbor', :before), a.now, 'after a compaction the same as of a version before') from answer a;
select is(pg_temp.answers(:'quay', :before), a.now, 'and on its forks') from answer a;
select is(
  (select array_agg(distinct s.compacted_into)
  from kata.search(:'harbor', 'lighthouse keeper', 1000, :summary) s where s.version < 1000), array[:summary]::bigint[],
  'covered messages are found, with the summary that covers them');
select is(
  (select array_agg(row(r.version, r.score)::text order by r.text_rank)
  from kata.recall(:'harbor', 'lighthouse keeper', max_rows => 1000, at => :summary) r),
  (select array_agg(row(r.version, r.score)::text order by r.text_rank)
  from kata.recall(:'harbor', 'lighthouse keeper', max_rows => 1000, at => :summary - 1) r),
  'a compaction changes neither rows nor scores');
select is((select count(*) from kata.search(:'harbor', '"so far"')), 0::bigint, 'summaries are not found');
select is(array(select v::text from kata.verify(:'harbor') v), '{}', 'the index of the parent is sound');
select is(array(select v::text from kata.verify(:'quay') v), '{}', 'that of the fork, too');

-- Distances are counted in messages

select fixture.context('dense') as dense \gset
select pg_temp.say('dense', 'zorblax'), pg_temp.say('dense', 'one'), pg_temp.say('dense', 'two');
select fixture.context('sparse') as sparse \gset
select pg_temp.say('sparse', 'zorblax');
select kata.pin(:'sparse', 1);
select kata.unpin(:'sparse', 1);
select pg_temp.say('sparse', 'one');
select kata.pin(:'sparse', 1);
select pg_temp.say('sparse', 'two');
select is(
  (select array_agg(row(r.content, r.score)::text order by r.text_rank) from kata.recall(:'sparse', 'zorblax') r),
  (select array_agg(row(r.content, r.score)::text order by r.text_rank) from kata.recall(:'dense', 'zorblax') r),
  'view changes between messages do not part them');
select is(pg_temp.recalled('sparse', 'zorblax'), '{1,4,6}'::bigint[], 'and rows have the versions of the messages');

-- Erased, purged, of others

select fixture.context('secret') as secret \gset
select pg_temp.say('secret', c) from unnest('{hello there,the password is swordfish,thank you,bye}'::text[]) c;
select fixture.fork('secret', 4, 'secret fork') as secret_fork \gset
select fixture.context('secret copy') as copy \gset
select count(*) from kata.merge(:'copy', :'secret', '{[1,5)}');
select kata.index_search(:'secret'), kata.index_search(:'copy');
select is(pg_temp.found('secret', 'swordfish') || pg_temp.found('secret fork', 'swordfish') || pg_temp.found('secret copy',
  'swordfish'), '{2,2,2}'::bigint[], 'a word is found on a fork and in a copy');
create temporary table frequency as select s.rank from kata.search(:'secret', 'thank') s;
select count(*) from kata.erase_message(:'secret', 2, 'asked to');
select is(pg_temp.found('secret', 'swordfish') || pg_temp.found('secret fork', 'password') || pg_temp.found('secret copy',
  'swordfish'), '{}'::bigint[], 'an erased message is not found, on no fork and in no copy');
select is(pg_temp.recalled('secret', 'thank'), '{3,4,1}'::bigint[], 'nor recalled as a neighbor');
select is((select s.rank from kata.search(:'secret', 'thank') s), (select f.rank from frequency f), 'the scores of others stay');
select is_empty($$select p.term from kata_data.posting p where p.term in ('swordfish', 'password')$$, 'its terms are nowhere');
select is(array(select v::text from kata.verify(:'secret') v union all select v::text from kata.verify(:'copy') v),
  '{}', 'the index stays sound');
select pg_temp.say('secret', 'the second password is tigerfish') as second \gset
select count(*) from kata.erase_message(:'secret', :second, 'asked to');
select is(pg_temp.found('secret', 'tigerfish'), '{}'::bigint[], 'erased before it was indexed, it is not found');
select is(kata.index_search(:'secret'), 0::bigint, 'nor indexed later');
select is_empty($$select p.term from kata_data.posting p where p.term = 'tigerfish'$$, 'its terms are nowhere, either');
select kata.delete_context(:'harbor');
select throws_ok(format('select kata.search(%L, ''storm'')', :'harbor'), 'KC006', null, 'a deleted context is not searched');
select kata.purge_context(:'harbor');
select is(pg_temp.answers(:'pier'), a.past, 'a fork answers the same after the purge of its parent') from answer a;
select is(pg_temp.answers(:'quay', :before), a.now, 'the newest one, too') from answer a;
select is_empty(
  format($$select p.term from kata_data.posting p,
  unnest(p.items) i(item) where p.segment_id = %L and p.first_version + (i.item >> 8) > %s$$, :'harbor', :before),
  'what no fork reads left the index');
select kata.delete_context(:'quay'), kata.delete_context(:'pier');
select kata.purge_context(:'quay'), kata.purge_context(:'pier');
select is_empty(
  format($$select p.term from kata_data.posting p where p.segment_id in (%L, %L, %L)$$, :'harbor', :'quay', :'pier'),
  'the last purge leaves nothing');
select throws_ok(
  format('select fixture.as_role(''kata_writer'', %L)', format('select kata.%s', format(t.call, :'talk'))), 'KC001', null,
  'of another tenant: ' || t.call)
from (values ('search(%L, ''boat'')'), ('recall(%L, ''boat'')'), ('index_search(%L)')) t(call);

-- Bad input

select throws_ok(format('select kata.%s', replace(t.call, 'ID', quote_literal(:'talk'))), t.code, null, 'refused: ' || left(t.call, 60))
from (values
  ('search(ID, null)', 'KC017'), ('search(ID, '''')', 'KC017'), (E'search(ID, E'' \\n\\t'')', 'KC017'),
  ('search(ID, repeat(''word '', 200000))', 'KC017'),
  ('search(ID, ''boat'', 0)', 'KC017'), ('search(ID, ''boat'', 1001)', 'KC017'), ('search(ID, ''boat'', null)', 'KC017'),
  ('search(ID, ''boat'', at => 99)', 'KC002'), ('search(ID, ''boat'', at => -1)', 'KC002'),
  ('search(null, ''boat'')', 'KC001'), ('recall(ID)', 'KC017'), ('recall(ID, '' '')', 'KC017'),
  ('recall(ID, ''boat'', max_rows => 0)', 'KC017'), ('recall(ID, ''boat'', max_tokens => 0)', 'KC017'),
  ('recall(ID, ''boat'', at => 99)', 'KC002'), ('recall(ID, ''boat'', ''{0.1}'', ''some model'')', 'KC017'),
  ('recall(ID, ''boat'', ''{0.1}'')', 'KC017'),
  ('index_search(ID, 0)', 'KC017'), ('index_search(null)', 'KC001'), ('pending_search(0)', 'KC017')) t(call, code);
select is(pg_temp.found('talk', (select string_agg('w' || n, ' ') from generate_series(1, 9000) n) || ' lighthouse'),
  '{2,4}'::bigint[], 'of thousands of terms those count that occur');
select lives_ok(format('select kata.search(%L, repeat(%L, 5000))', :'talk', x), 'survived: ' || x)
from unnest(array['((((((((', '[[:alnum:]]', 'aA', '漢', '\u0000', '"', '-._', '''', '𠀀', '/x']) x;

select is(
  (select array_agg(r::text) from fixture.error(format('select kata.recall(%L, %L, %s)', :'talk', 'boat', t.rest)) r), array[t.error],
  'the other half is missing: ' || t.rest)
from (values
  ('model => ''m''', '(KC017,"the query has no embedding of a model","model is ""m"", embedding is null.","Pass an embedding of the query '
    'together with the model that made it, or neither of the two for words alone.")'),
  ('''{0.1}''', '(KC017,"the embedding of the query has no model","model is null.","Pass an embedding of the query '
    'together with the model that made it, or neither of the two for words alone.")')) t(rest, error);

-- Tenants in turn

set local kata.tenant = 'few';
select fixture.context('theirs') as theirs \gset
select count(*)
from kata.append(:'theirs', (select jsonb_agg(jsonb_build_object('role', 'user', 'content', 'row')) from generate_series(1, 64)));
set local kata.tenant = 'many';
select count(*)
from generate_series(1, 3) n
cross join lateral kata.append(
  fixture.context('ours' || n), (select jsonb_agg(jsonb_build_object('role', 'user', 'content', 'row')) from generate_series(1, 64 + n)));
select results_eq('select p.messages from kata.pending_search() p', '{67,66,65}'::bigint[], 'a tenant sees its own, the most first');
set local kata.tenant = '*';
select results_eq($$select p.tenant, p.messages from kata.pending_search() p where p.tenant in ('few', 'many')$$,
  $$values ('many', 67::bigint), ('few', 64), ('many', 66), ('many', 65)$$, 'a service sees those of all tenants, in turn');
reset kata.tenant;

-- Damage

select pg_temp.say('talk', 'one more message');
select kata.index_search(:'talk');
select is(fixture.damage(format(t.statement, :'talk'), 'talk'), t.found, 'verify finds: ' || t.statement)
from (values
  ('delete from kata_data.posting where segment_id = %L and term = ''boat''', '{search index at 4,search index at 6}'::text[]),
  ('update kata_data.posting set items = array[items[1] + 1] || items[2:] where segment_id = %L and term = ''keeper''',
  '{search index at 4}'),
  ('update kata_data.posting set items = items || items where segment_id = %L and term = ''keeper''', '{search index at 0}'),
  ('update kata_data.posting set term = ''boot'' where segment_id = %L and term = ''keeper''', '{search index at 4}'),
  ('update kata_data.posting set items = ''{}'' where segment_id = %L and term = ''keeper''', '{search index at 0,search index at 4}'),
  ('update kata_data.search_mark set indexed_through = 99 where segment_id = %L', '{search mark}'),
  ('insert into kata_data.posting values (%L, ''ghost'', 64, ''{256}'')', '{search index at 65}')) t(statement, found);
select is(fixture.damage(t.statement), '{orphan row}', 'verify finds: ' || t.statement)
from (values
  ('insert into kata_data.posting values (gen_random_uuid(), ''ghost'', 64, ''{256}'')'),
  ('insert into kata_data.search_mark values (gen_random_uuid(), 5, ''1 english'')')) t(statement);

select * from finish();
rollback;
