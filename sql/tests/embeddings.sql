-- Embeddings find messages by meaning, beside their words, and go with the texts that they are made of.

begin;
select plan(118);

create function pg_temp.say(context text, content text, role text default 'user', name text default null) returns bigint
language sql
as $$
  select kata.append_message(fixture.id(context), role, content, 1, name => name)
$$;
create function pg_temp.recalled(context text, query text, embedding real[], at bigint default null) returns bigint[]
language sql
as $$
  select array(
    select r.version
    from kata.recall(fixture.id(context), query, embedding, 'toy', at => at) with ordinality r
    order by r.ordinality)
$$;
create function pg_temp.pending(context text, model text default 'toy') returns bigint[]
language sql
as $$
  select array(select p.version from kata.pending_embeddings(model) p where p.context_id = fixture.id(context) order by 1)
$$;

-- What a model gets

select fixture.context('sea') as sea \gset
select pg_temp.say('sea', c.content, c.role, c.name)
from (values
  ('user', 'ann', 'Where were you?'), ('assistant', 'bob', 'At the coast, ' || repeat('far away ', 20)), ('user', null, 'A vessel sank.'),
  ('user', 'ann', ' '), ('assistant', 'bob', 'Bread is baked from flour.')) c(role, name, content);
select results_eq(
  $$select p.version, left(p.content, 60) from kata.pending_embeddings('toy') p order by 1$$,
  $$values (1::bigint, 'ann: Where were you?'), (2, 'bob: At the coast, far away far away far away far away far a'),
    (3, E'user: A vessel sank.\nAt the coast, far away far away far awa'), (5, E'bob: Bread is baked from flour.\n ')$$,
  'pending_embeddings lists speaker, text and the message before; a blank message is not listed');
select is((select length(p.content) from kata.pending_embeddings('toy') p where p.version = 3), 20 + 1 + 120,
  'of the message before it takes 120 characters');
select results_eq(
  format($$select array(
      select p.version
      from kata.pending_embeddings('toy', 2, case when v.place is not null then %L::uuid end, v.place) with ordinality p
      order by p.ordinality)
    from (values (1, null::bigint), (2, 3), (3, 2), (4, 1)) v(page, place) order by v.page$$, :'sea'),
  $$values ('{5,3}'::bigint[]), ('{2,1}'), ('{1}'), ('{}')$$, 'and max_rows at most, the newest first; pages go on behind a place');
select is((select count(*) from kata.pending_embeddings('toy', 2, 'ffffffff-ffff-ffff-ffff-ffffffffffff', 1)), 2::bigint,
  'a place may be that of a context that is gone');
select is((select count(*) from kata.pending_embeddings('toy') p where p.digest <> encode(sha256(convert_to(p.content, 'UTF8')), 'hex')),
  0::bigint, 'a digest is that of the text');
select is(
  kata.put_embeddings(:'sea', 'toy', '{1,2,3}', '{{1,0,0},{0,3,4},{0,4,-2}}'), 3, 'put_embeddings says how many it stored');
select is(pg_temp.pending('sea'), '{5}'::bigint[], 'what has its embedding is not listed any more');
select is(pg_temp.pending('sea', 'other'), '{1,2,3,5}'::bigint[], 'of another model everything is');
select is((select k.complete_through from kata_data.embedding_mark k), 4::bigint, 'a mark moves to where the first is missing');
select is(kata.put_embeddings(:'sea', 'toy', '{5,5}', '{{1,1,1},{-1,0,0}}'), 1, 'of two for a version one is stored');
select is(pg_temp.pending('sea'), '{}'::bigint[], 'and nothing is left');
select results_eq(
  'select name, dimensions, embeddings, bytes > 0, index_state, tenant from kata.embedding_models()',
  $$values ('toy', 3, 4::bigint, true, null::text, 'default')$$, 'embedding_models lists the model');
select pg_temp.say('sea', 'One more.');
select is(pg_temp.pending('sea'), '{6}'::bigint[], 'a new message is pending');

-- What they find

select is(pg_temp.recalled('sea', null, '{0,3,4}'), '{2,3,5,1}'::bigint[], 'an embedding alone finds the nearest');
select is((select array_agg(r.vector_rank order by r.vector_rank) from kata.recall(:'sea', null, '{0,3,4}', 'toy') r
  where r.text_rank is null),
  '{1,2,3,4}'::bigint[], 'rows say their place by embedding');
select is((select r.score from kata.recall(:'sea', null, '{0,3,4}', 'toy', 1) r), 1::float8, 'the best has score 1');
select is(pg_temp.recalled('sea', 'bread', '{0,3,4}', 5), '{5,2,4,3,1}'::bigint[], 'words and meaning are weighed');
select is(pg_temp.recalled('sea', 'bread', '{-1,0,0}', 5), '{5,4,3,2,1}'::bigint[],
  'an embedding that agrees keeps the order of the words');
select is(pg_temp.recalled('sea', 'zorblax', '{0,3,4}', 5), '{2,3,5,1}'::bigint[], 'where no word is found the embedding finds');
select is(pg_temp.recalled('sea', null, '{0,3,4}', 2), '{2,1}'::bigint[], 'as of a version later messages are not found');
select is((select count(*) from kata.recall(:'sea', 'bread', '{0,3,4}', 'toy', max_tokens => 2)), 2::bigint, 'max_tokens holds');
select is(
  (select row(r.version, r.text_rank, r.vector_rank)::text from kata.recall(:'sea', 'bread', '{0,3,4}', 'toy', at => 5) r
  where r.version = 4),
  '(4,2,)', 'a message without an embedding is found by words');
select ok(
  not exists (
    select from kata.recall(:'sea', 'vessel', '{0,3,4}', 'toy') r
    left join kata.recall(:'sea', 'vessel', '{0,6,8}', 'toy') s on s.version = r.version and abs(s.score - r.score) < 1e-6
    where s.version is null),
  'the length of an embedding says nothing');

-- The index, and a version of the extension whose indexes stop early

select m.model_id as toy, 'kata_data.embedding_hnsw_' || m.model_id as hnsw, kata_data.vector_schema() is null as no_vector
from kata.embedding_models() e
join kata_data.embedding_model m on m.tenant = e.tenant and m.name = e.name \gset
select case when not :'no_vector'::boolean then (select b.index from kata.build_embedding_index('toy') b) end;
select ok(:'no_vector'::boolean or (
    select array_agg(n.version order by n.similarity desc) = '{2,3,5}' and pg_stat_get_xact_numscans(to_regclass(:'hnsw')) > 0
    from kata_data.near_by_index(:'sea', :toy, '{0,3,4}', '{[2,7)}', 10) n),
  'the index is scanned for messages among some versions');
select e.extversion as has from pg_extension e where e.extname = 'vector' union all select 'none' limit 1 \gset
update pg_extension set extversion = '0.7.4' where extname = 'vector';
select is((select count(*) from kata_data.near_by_index(:'sea', :toy, '{0,3,4}', '{[2,7)}', 10)), 0::bigint,
  'without iterative scans it is not asked');
select throws_ok($$select kata.build_embedding_index('toy')$$, 'KC017', 'the index on model "toy" cannot be built', 'and none is built');
update pg_extension set extversion = :'has' where extname = 'vector';
select kata.drop_embedding_index('toy');

-- Arrays, where the extension is missing

create temporary table answer as
select q.query, r.version, r.score, r.text_rank, r.vector_rank
from (values ('bread'), ('vessel coast'), (null)) q(query)
cross join lateral kata.recall(:'sea', q.query, '{0.2,0.9,0.3}', 'toy') r;
select ok(kata_data.vector_schema() is not null or not exists (
    select from pg_available_extensions a where a.name = 'vector' and string_to_array(a.default_version, '.')::integer[] >= '{0,7}'),
  'embeddings are halfvec where the server has the extension');
alter table kata_data.embedding alter column embedding type real[] using embedding::real[];
select kata_data.record_contract('[]');
select is(kata_data.vector_schema(), null, 'now they are arrays');
select is_empty(
  format(
    $$select a.version from answer a
      full join (
        select q.query, r.version, r.score, r.text_rank, r.vector_rank
        from (values ('bread'), ('vessel coast'), (null)) q(query)
        cross join lateral kata.recall(%L, q.query, '{0.2,0.9,0.3}', 'toy') r) b
        on b.query is not distinct from a.query and b.version = a.version and (b.text_rank, b.vector_rank) is not distinct
  from (a.text_rank, a.vector_rank)
          and abs(b.score - a.score) < 0.001
      where a.version is null or b.version is null$$, :'sea'),
  'arrays find the same rows with the same scores');
select is(kata.put_embeddings(:'sea', 'toy', '{6}', '{{0,0,1}}'), 1, 'and take embeddings');
select is(array(select v::text from kata.verify(:'sea') v), '{}', 'verify reads them');
select throws_ok($$select kata.build_embedding_index('toy')$$, 'KC017', null, 'an index needs the extension');

-- Forks, deletions

select fixture.fork('sea', 3, 'boat') as boat \gset
select pg_temp.say('boat', 'The vessel was found.');
select is(pg_temp.pending('boat'), '{4}'::bigint[], 'a fork shares the embeddings of its parent');
select is(kata.put_embeddings(:'boat', 'toy', '{3,4}', '{{0,1,0},{0,1,0}}'), 2, 'and may store some of the parent''s messages');
select is(pg_temp.recalled('boat', null, '{0,1,0}'), '{4,3,2,1}'::bigint[], 'a fork finds inherited messages
  and its own; ties go to the newer');
select is(pg_temp.recalled('sea', null, '{0,1,0}', 5), '{3,2,5,1}'::bigint[], 'its parent does not find those of the fork');
select kata.delete_messages(:'boat', 4, 4);
select is(pg_temp.recalled('boat', null, '{0,1,0}'), '{3,2,1}'::bigint[], 'a deleted message is not found');
select is(pg_temp.recalled('boat', null, '{0,1,0}', 4), '{4,3,2,1}'::bigint[], 'as of a version before its deletion it is');

-- Erased and purged

select fixture.context('copy') as copy \gset
select count(*) from kata.merge(:'copy', :'sea', '{[1,4)}');
select kata.put_embeddings(:'copy', 'toy', '{1,2,3}', '{{1,0,0},{0,1,0},{0,0,1}}');
select p.digest as late from kata.pending_embeddings('new') p where p.context_id = :'boat' and p.version = 4 \gset
select p.digest as own from kata.pending_embeddings('new') p where p.context_id = :'sea' and p.version = 3 \gset
select count(*) from kata.erase_message(:'sea', 3, 'asked to');
select results_eq(
  format('select e.version from kata_data.embedding e where e.segment_id = %L order by 1', :'sea'), '{1,2,5,6}'::bigint[],
  'the embedding of an erased message is removed');
select is_empty(format('select e.version from kata_data.embedding e where e.segment_id = %L', :'boat'),
  'that of the message after it on a fork, too: it holds the beginning of the text');
select results_eq(format('select e.version from kata_data.embedding e where e.segment_id = %L order by 1', :'copy'), '{1,2}'::bigint[],
  'and that of a merged copy');
select is(pg_temp.recalled('sea', null, '{0,1,0}', 5), '{2,5,1}'::bigint[], 'an erased message is not found');
select is(pg_temp.pending('boat'), '{4}'::bigint[], 'the message after it is pending again');
select is((select p.content from kata.pending_embeddings('toy') p where p.context_id = :'boat'), E'user: The vessel was found.\n',
  'without the erased text');
select is(kata.put_embeddings(:'boat', 'toy', '{4}', '{{0,1,0}}', array[:'late']), 0, 'an embedding of the text before is passed over');
select is(kata.put_embeddings(:'sea', 'toy', '{3}', '{{0,1,0}}', array[:'own']), 0, 'that of the erased message, too');
select is(kata.put_embeddings(:'boat', 'toy', '{4}', '{{0,1,0}}', (select array_agg(p.digest)
  from kata.pending_embeddings('toy') p where p.context_id = :'boat')), 1,
  'one of the text now is stored');
select throws_ok(format($$select kata.put_embeddings(%L, 'toy', '{3}', '{{0,1,0}}')$$, :'sea'), 'KC002', null,
  'an erased message has no text');
select is(array(select v::text from kata.verify(:'sea') v union all select v::text from kata.verify(:'boat') v), '{}',
  'embeddings stay sound');
select count(*) from kata.erase_message(:'sea', 4, 'asked to');
select is(pg_temp.pending('sea'), '{5}'::bigint[], 'in the same segment the message after an erased one is pending again');
select fixture.fork('sea', 2, 'raft') as raft \gset
select kata.delete_context(:'sea');
select results_eq($$select p.context_id, p.version from kata.pending_embeddings('new') p where p.context_id <> fixture.id('copy')$$,
  format('values (%L::uuid, 4::bigint), (%1$L, 2), (%1$L, 1)', :'boat'),
  'what a deleted parent wrote is pending for the fork that reads most of it');
select kata.archive_context(:'boat');
select results_eq($$select p.context_id, p.version from kata.pending_embeddings('new') p where p.context_id <> fixture.id('copy')$$,
  format('values (%L::uuid, 2::bigint), (%1$L, 1)', :'raft'), 'for another one where that is archived');
select kata.unarchive_context(:'boat');
select kata.delete_context(:'raft');
select kata.purge_context(:'raft');
select kata.purge_context(:'sea');
select results_eq(format('select e.version from kata_data.embedding e where e.segment_id = %L order by 1', :'sea'), '{1,2}'::bigint[],
  'a purge removes what no fork reads');
select kata.delete_context(:'boat');
select kata.purge_context(:'boat');
select is_empty(format('select from kata_data.embedding e where e.segment_id in (%1$L, %2$L) union all select
  from kata_data.embedding_mark k where k.segment_id in (%1$L, %2$L)', :'sea', :'boat'),
  'the last purge leaves nothing');

-- Tenants

set local kata.tenant = 'other';
select fixture.context('theirs') as theirs \gset
select pg_temp.say('theirs', 'A vessel of others.');
select is((select count(*) from kata.embedding_models()), 0::bigint, 'a tenant does not see the models of another');
select is(kata.put_embeddings(:'theirs', 'toy', '{1}', '{{1,0}}'), 1, 'and may use the name with other dimensions');
select is((select count(*) from kata.pending_embeddings('toy')), 0::bigint, 'its pending messages are its own');
select throws_ok(format('select kata.%s', format(t.call, :'copy')), 'KC001', null, 'of another tenant: ' || t.call)
from (values ('put_embeddings(%L, ''toy'', ''{1}'', ''{{1,0}}'')'), ('recall(%L, null, ''{1,0}'', ''toy'')'), ('prewarm(%L)')) t(call);
set local kata.tenant = '*';
select is((select count(*) from kata.embedding_models() m where m.name = 'toy'), 2::bigint, 'a service sees those of all');
select set_eq('select p.tenant from kata.pending_embeddings(''new'') p', '{default,other}'::text[],
  'and the texts of all, with their tenants');
reset kata.tenant;

-- Bad input

create temporary table before as select count(*) as embeddings from kata_data.embedding;
select throws_ok(format('select kata.%s', replace(t.call, 'ID', quote_literal(:'copy'))), t.code, null, 'refused: ' || left(t.call, 70))
from (values
  ('put_embeddings(ID, ''toy'', ''{1}'', ''{{1,0}}'')', 'KC017'), ('put_embeddings(ID, ''toy'', ''{1}'', ''{{0,0,0}}'')', 'KC017'),
  ('put_embeddings(ID, ''toy'', ''{1}'', ''{{NaN,0,1}}'')', 'KC017'), ('put_embeddings(ID, ''toy'', ''{1}'', ''{{Infinity,0,1}}'')',
  'KC017'),
  ('put_embeddings(ID, ''toy'', ''{1}'', ''{{NULL,0,1}}'')', 'KC017'), ('put_embeddings(ID, ''toy'', ''{1}'', ''{1,0,1}'')', 'KC017'),
  ('put_embeddings(ID, ''toy'', ''{1,2}'', ''{{1,0,1}}'')', 'KC017'), ('put_embeddings(ID, ''toy'', ''{NULL}'', ''{{1,0,1}}'')', 'KC017'),
  ('put_embeddings(ID, ''toy'', null, ''{{1,0,1}}'')', 'KC017'), ('put_embeddings(ID, ''toy'', ''{1}'', null)', 'KC017'),
  ('put_embeddings(ID, ''toy'', ''{1}'', ''{{1,0,1}}'', ''{}'')', 'KC017'),
  ('put_embeddings(ID, ''toy'', ''{99}'', ''{{1,0,1}}'')', 'KC002'), ('put_embeddings(ID, null, ''{1}'', ''{{1,0,1}}'')', 'KC017'),
  ('put_embeddings(ID, '''', ''{1}'', ''{{1,0,1}}'')', 'KC017'), ('put_embeddings(null, ''toy'', ''{1}'', ''{{1,0,1}}'')', 'KC001'),
  ('put_embeddings(ID, ''big'', ''{1}'', (select array[array_agg(1::real)] from generate_series(1, 16001)))', 'KC017'),
  ('recall(ID, ''vessel'', ''{1,0}'', ''toy'')', 'KC017'), ('recall(ID, ''vessel'', ''{0,0,0}'', ''toy'')', 'KC017'),
  ('recall(ID, ''vessel'', ''{NaN,0,0}'', ''toy'')', 'KC017'), ('recall(ID, ''vessel'', ''{1,0,0}'', ''unknown'')', 'KC017'),
  ('recall(ID, ''vessel'', ''{1,0,0}'')', 'KC017'), ('recall(ID, ''vessel'', null, ''toy'')', 'KC017'),
  ('pending_embeddings(''toy'', 0)', 'KC017'), ('pending_embeddings(''toy'', 2, ID)', 'KC017'),
  ('pending_embeddings(''toy'', 2, null, 3)', 'KC017'), ('build_embedding_index(''unknown'')', 'KC017'), ('drop_embedding_index(null)',
  'KC017')) t(call, code);
select is((select count(*) from kata_data.embedding), b.embeddings, 'what is refused changes nothing') from before b;

-- Amendments: the words in force are what is found, each by an embedding under the version of the amendment

select fixture.context('edited') as edited \gset
select pg_temp.say('edited', c.content) from (values ('The sea.'), ('The bread.'), ('The city.')) c(content);
select kata.put_embeddings(:'edited', 'toy', '{1,2,3}', '{{1,0,0},{0,1,0},{0,0,1}}');
select kata.amend(:'edited', 1, '{"content": "The mountain."}') as amended \gset
select is(pg_temp.pending('edited'), '{4}'::bigint[], 'an amendment is to be embedded');
select is(
  (select p.content from kata.pending_embeddings('toy') p where p.context_id = :'edited'), 'user: The mountain.',
  'with the speaker and the new words');
select is(pg_temp.recalled('edited', null, '{1,0,0}'), '{3,2}'::bigint[], 'the embedding of the old words is not used');
select is((pg_temp.recalled('edited', null, '{1,0,0}', 3))[1], 1::bigint, 'but as of before');
select is(kata.put_embeddings(:'edited', 'toy', '{4}', '{{0,0.6,0.8}}'), 1, 'an embedding of the new words is stored');
select is(pg_temp.pending('edited'), '{}'::bigint[], 'and is not listed any more');
select is((pg_temp.recalled('edited', null, '{0,0.6,0.8}'))[1], 1::bigint, 'the message is found by it');
select is(
  array(select r.version from kata.recall(:'edited', null, '{1,0,0}', 'toy') r order by 1), '{1,2,3}'::bigint[], 'and no other version is');
select is(pg_temp.recalled('edited', null, '{0,0.6,0.8}', 3), '{3,2,1}'::bigint[], 'as of before it is not there');
select is((pg_temp.recalled('edited', 'mountain', '{0,0.6,0.8}'))[1], 1::bigint, 'words and embedding agree');
select kata.amend(:'edited', 1, '{"content": "The moon."}');
select is(
  pg_temp.recalled('edited', null, '{0,0.6,0.8}'), '{3,2}'::bigint[], 'a later amendment takes the place of both, embedded or not');
select kata.undo(:'edited', 5);
select is((pg_temp.recalled('edited', null, '{0,0.6,0.8}'))[1], 1::bigint, 'undone, it gives that place back');
select kata.rewind(:'edited', 3);
select is((pg_temp.recalled('edited', null, '{1,0,0}'))[1], 1::bigint, 'after a rewind the old words are found');
select kata.rewind(:'edited', 6);
select fixture.fork('edited', 6, 'edited fork') as edited_fork \gset
select is((pg_temp.recalled('edited fork', null, '{0,0.6,0.8}'))[1], 1::bigint, 'a fork finds what its parent amended');
select is_empty(format('select * from kata.verify(%L)', :'edited'), 'and all is sound');
select kata.erase_message(:'edited', 4, 'test');
select is(
  array(select e.version from kata_data.embedding e where e.segment_id = :'edited' order by 1), '{1,2,3}'::bigint[],
  'an erasure of the amendment takes its embedding');
select is(
  fixture.damage(
    format($$insert into kata_data.embedding select segment_id, model_id, 4, embedding from kata_data.embedding
      where segment_id = %L and version = 1$$, :'edited'), 'edited'),
  '{embedding at 4}', 'one that is left is found');
select fixture.context('edited twice') as twice \gset
select pg_temp.say('edited twice', c.content) from (values ('The sea.'), ('The bread.'), ('The city.')) c(content);
select kata.amend(:'twice', 1, '{"content": "The moon."}');
select kata.put_embeddings(:'twice', 'toy', '{1,2,3,4}', '{{1,0,0},{0,1,0},{0,0.6,0.8},{0,0,1}}');
select kata.undo(:'twice', 4);
select kata.amend(:'twice', 2, '{"content": "The wine."}');
select is(pg_temp.recalled('edited twice', null, '{0.8,0,0.6}'), '{1,3}'::bigint[],
  'a message whose amendment was undone before the oldest in force has its own embedding');
select is(pg_temp.recalled('edited twice', null, '{0,0,1}'), '{3,1}'::bigint[], 'and not that of the amendment');

-- Prewarm

select ok((select bool_and(w.bytes > 0) and count(*) >= 3 from kata.prewarm(:'copy') w), 'prewarm says what it read');
select ok((select count(*) >= 3 from kata.prewarm()), 'without a context it reads the newest');

-- Damage

select is(fixture.damage(format(t.statement, :'copy'), 'copy'), t.found, 'verify finds: ' || left(t.statement, 90))
from (values
  ('update kata_data.embedding set embedding = ''{2,0,0}''::real[] where segment_id = %L and version = 1', '{embedding at 1}'::text[]),
  ('update kata_data.embedding set embedding = ''{1,0}''::real[] where segment_id = %L and version = 1', '{embedding at 1}'),
  ('update kata_data.embedding set version = 99 where segment_id = %L and version = 2', '{embedding at 99,embedding mark at 2}'),
  ('delete from kata_data.embedding where segment_id = %L and version = 1', '{embedding mark at 1}')) t(statement, found);
select is(fixture.damage(t.statement), '{orphan row}', 'verify finds: ' || left(t.statement, 90))
from (values
  ('insert into kata_data.embedding select gen_random_uuid(), model_id, 1, ''{1,0,0}''::real[] from kata_data.embedding_model
  where tenant = ''default'''),
  ('insert into kata_data.embedding_mark select gen_random_uuid(), model_id, 1 from kata_data.embedding_model
  where tenant = ''default''')) t(statement);

select is(kata_data.normalized('{1e30,-1e-30,1e-45}'), '{1,0,0}', 'numbers that are tiny beside the others become zero');

select * from finish();
rollback;
