-- A change of a context that takes no version is an act: a chain of digests that verify compares with the tables.

begin;
select plan(74);

create function pg_temp.acts(context_id uuid) returns text
language sql
as $$
  select string_agg(a.kind, ' ' order by a.number) from kata.acts(context_id) a
$$;

select fixture.context('house', '{"preserve_recent_count": 1, "min_gain_tokens": 0}') as house \gset
select is(pg_temp.acts(:'house'), 'create', 'the creation is the first act');
select fixture.talk('house', 'system 1, user 2, assistant 4, user 8, assistant 16, user 32');
select kata.pin(:'house', 2);
select is(pg_temp.acts(:'house'), 'create', 'an entry of the log is none');
select kata.update_context(:'house', 'home');
select kata.update_context(:'house', 'home', '{"a": 1}');
select kata.update_context(:'house', '');
select kata.update_context(:'house', 'house');
select kata.set_policy(:'house', '{"budget": 1000}');
select kata.checkpoint(:'house', 'one', 1), kata.checkpoint(:'house', 'two', note => 'a note'), kata.checkpoint(:'house', 'three');
select kata.drop_checkpoint(:'house', 'three');
select kata.archive_context(:'house');
select kata.archive_context(:'house');
select kata.unarchive_context(:'house');
select fixture.compact('house');
select fixture.talk('house', 'assistant 64, user 128, assistant 256');
select compaction_id as failed from kata.begin_compaction(:'house', 'drop', force => true) \gset
select kata.abort_compaction(:'failed', 'the model said no');
select is(
  pg_temp.acts(:'house'),
  'create rename rename rename policy checkpoint checkpoint checkpoint drop archive unarchive compaction compaction',
  'each change is one act; what changes nothing is none');
select is(
  (select array_agg(a.content::text order by a.number) from kata.acts(:'house') a where a.kind in ('rename', 'checkpoint', 'drop')),
  array['{"name": "home"}', '{}', '{"name": "house"}', '{"name": "one"}', '{"name": "two", "note": "a note"}', '{"name": "three"}',
    '{"name": "three"}'],
  'it says to what');
select is(
  (select a.facts - '{compaction_id,started_at}'::text[] from kata.acts(:'house', 12) a),
  '{"status": "failed", "strategy": "drop", "forced": true, "base_version": 11, "covered": "{[6,7),[9,10)}",
    "merged_summaries": [], "message_count": 2, "source_tokens": 96}',
  'the end of a compaction is recorded with its numbers');
select is(
  (select row(min(a.number), count(*))::text from kata.acts(:'house', 3, 2) a), '(4,2)', 'acts come in pages');
select throws_ok(format('select kata.acts(%L, null, 0)', :'house'), 'KC017', null, 'of at least one');
select throws_ok($$select kata.acts('00000000-0000-7000-8000-000000000000')$$, 'KC001', null, 'an unknown context has none');
select is(
  (
    select array_agg(distinct a.digest = sha256(b.digest || convert_to(a.frame, 'UTF8') || coalesce(a.content_digest, '')))
    from kata.acts(:'house') a
    join (
      select b.number, b.digest from kata.acts(:'house') b union all select 0, sha256(uuid_send(:'house'::uuid))
    ) b on b.number = a.number - 1),
  '{t}', 'each digest covers the digest before, the frame and the content');

select fixture.fork('house', 5, 'shed') as shed \gset
select is(
  (select row(a.kind, a.facts)::text from kata.acts(:'shed') a),
  (select row('fork', jsonb_build_object('parent', :'house', 'version', 5, 'digest', encode(e.digest, 'hex')))::text
   from kata.entry_digests(:'house', 4, 1) e),
  'a fork begins with its parent, the version and the digest there');

-- Damage

select is(array(select v::text from kata.verify(c.id::uuid) v), '{}', 'acts are sound: ' || c.name)
from (values (:'house', 'of a context'), (:'shed', 'of a fork')) c(id, name);
select is(
  fixture.damage(
    format('update kata_data.act a set %s where a.context_id = %L and a.number = %s', d.change, :'house', d.number),
    'house') @> array[d.problem],
  true, d.what)
from (values
  ('content = content || ''{"a": 1}''', 2, 'act digest', 'content that was changed is found'),
  ('content = null, salt = null', 2, 'act digest', 'content that was removed is found'),
  ('content = null, salt = null, content_digest = kata_data.act_content_digest(a), act_context_id = a.context_id, act_number = 1', 2,
    'act content', 'also by one who keeps its digest'),
  ('salt = salt || salt', 2, 'act digest', 'a salt that was changed is found'),
  ('facts = ''{}''', 6, 'act digest', 'facts that were changed are found'),
  ('kind = ''unarchive''', 10, 'act digest', 'another kind is found'),
  ('acted_by = ''other''', 5, 'act digest', 'another role is found'),
  ('acted_at = acted_at + interval ''1 us''', 5, 'act digest', 'another time is found'),
  ('digest = sha256(digest)', 13, 'act digest', 'another digest is found'),
  ('number = 14', 13, 'act gone', 'another number is found')
) d(change, number, problem, what);
select is(
  fixture.damage(format('delete from kata_data.act a where a.context_id = %L and a.number = %s', :'house', d.number), 'house')
    @> array[d.problem],
  true, d.what)
from (values
  (1, 'act gone', 'a first act that is gone is found'), (7, 'act gone', 'one in the middle'),
  (13, 'act', 'the last one, too, where a table knows what it told')) d(number, problem, what);
select is(
  fixture.damage(format('delete from kata_data.act a where a.context_id = %L', :'shed'), 'shed') @> '{act,act gone}', true,
  'no act at all is found');

-- The tables: each change as their owner may make it.

create function pg_temp.found(statement text) returns boolean
language sql
as $$
  select fixture.damage(format(statement, fixture.id('house'), fixture.id('shed')), 'house')
      && '{act,act at 1,act at 2,act at 6,act at 7,act at 8}'
    or fixture.damage(format(statement, fixture.id('house'), fixture.id('shed')), 'shed') && '{act,act at 5}'
$$;
select is(pg_temp.found(d.statement), true, 'it is found: ' || d.statement)
from (values
  ('update kata_data.context set name = ''hut'' where context_id = %1$L'),
  ('update kata_data.context set policy = policy || ''{"notify": true}'' where context_id = %1$L'),
  ('update kata_data.context set archived_at = now() where context_id = %1$L'),
  ('update kata_data.context set deleted_at = now() where context_id = %1$L'),
  ('update kata_data.context set tokenizer = ''cl100k_base'' where context_id = %1$L'),
  ('update kata_data.context set fork_version = 4 where context_id = %2$L'),
  ('update kata_data.message set digest = sha256(digest) where segment_id = %1$L and version = 5'),
  ('update kata_data.checkpoint set version = 2 where context_id = %1$L and name = ''one'''),
  ('update kata_data.checkpoint set name = ''first'' where context_id = %1$L and name = ''one'''),
  ('update kata_data.checkpoint set note = ''another'' where context_id = %1$L and name = ''two'''),
  ('update kata_data.checkpoint set note = null where context_id = %1$L and name = ''two'''),
  ('update kata_data.checkpoint set created_at = now() - interval ''1 day'' where context_id = %1$L and name = ''one'''),
  ('delete from kata_data.checkpoint where context_id = %1$L and name = ''one'''),
  ('insert into kata_data.checkpoint values (%1$L, ''three'', 6, null, now())'),
  ('update kata_data.compaction set error = ''fine'' where context_id = %1$L and status = ''failed'''),
  ('update kata_data.compaction set claimed_by = ''me'' where context_id = %1$L and status = ''failed'''),
  ('update kata_data.compaction set status = ''aborted'' where context_id = %1$L and status = ''failed'''),
  ('update kata_data.compaction set policy = ''{}'' where context_id = %1$L and status = ''failed'''),
  ('update kata_data.compaction set strategy = ''digest'' where context_id = %1$L and status = ''committed'''),
  ('update kata_data.compaction set source_tokens = 1 where context_id = %1$L and status = ''committed'''),
  ('update kata_data.compaction set result_tokens = 1 where context_id = %1$L and status = ''committed'''),
  ('update kata_data.compaction set message_count = 1 where context_id = %1$L and status = ''committed'''),
  ('update kata_data.compaction set started_at = now() - interval ''1 day'' where context_id = %1$L and status = ''committed'''),
  ('update kata_data.compaction set finished_at = now() - interval ''1 day'' where context_id = %1$L and status = ''committed'''),
  ('delete from kata_data.compaction where context_id = %1$L and status = ''failed''')) d(statement);

-- Erasure

select fixture.talk('shed', 'user 64');
select kata.checkpoint(:'shed', 'secret', note => 'it says 1234');
select compaction_id as running from kata.begin_compaction(:'shed', 'drop', force => true) \gset
select count(*) from kata.erase_message(:'shed', 2, 'asked to');
select kata.abort_compaction(:'running');
select is(pg_temp.acts(:'shed'), 'fork checkpoint erase', 'an erasure is an act of the context that asked for it');
select is(
  (select jsonb_path_query_array(a.facts, '$.entries[*][0,1,2]') || (a.facts -> 'ended') || (a.facts -> 'acts')
   from kata.acts(:'shed', 2) a),
  jsonb_build_array(:'house', 2, 'message', :'running') || jsonb_build_array(
    jsonb_build_array(:'house', 7), jsonb_build_array(:'house', 13), jsonb_build_array(:'shed', 2)),
  'it names what it redacted, ended and blanked');
select is(
  (select array_agg(k.note) from kata.checkpoints(:'shed') k where k.note is not null), null, 'notes that may repeat the message are gone');
select is(
  (select array_agg(c.error) from kata.compactions(:'house') c), '{NULL,NULL}', 'errors, too');
select is(
  (select row(a.content, a.salt, octet_length(a.content_digest))::text from kata.acts(:'house', 12) a), '(,,32)',
  'the acts keep a digest of them');
select is(array(select v::text from kata.verify(c.id::uuid) v), '{}', 'erased acts are sound: ' || c.name)
from (values (:'house', 'of the context that wrote the message'), (:'shed', 'of the fork')) c(id, name);
select count(*) from kata.erase_message(:'house', 2, 'again');
select is((select count(*) from kata.acts(:'house') a where a.kind = 'erase'), 0::bigint, 'a second erasure adds no act');
select is(
  fixture.damage(format(d.statement, :'house', :'shed'), d.context) && array['receipt', 'receipt at 2', 'act', 'act content'], true,
  'it is found: ' || d.statement)
from (values
  ('update kata_data.erasure set reason = ''no reason'' where segment_id = %1$L', 'house'),
  ('update kata_data.erasure set erased_by = ''other'' where segment_id = %1$L', 'house'),
  ('update kata_data.erasure set erased_at = now() - interval ''1 day'' where segment_id = %1$L', 'house'),
  ('update kata_data.erasure set what = ''copy'' where segment_id = %1$L', 'house'),
  ('delete from kata_data.erasure where segment_id = %1$L', 'shed'),
  ('update kata_data.compaction set status = ''failed'' where context_id = %2$L', 'shed'),
  ('update kata_data.compaction set act_number = 2 where context_id = %2$L', 'shed'),
  ('update kata_data.act set act_number = 2 where context_id = %1$L and number = 13', 'house')) d(statement, context);

-- Purge

select kata.delete_context(:'house');
select kata.purge_context(:'house');
select is(
  (select row(count(*), count(a.content), bool_and(
      a.content_digest is not null or a.kind in ('archive', 'unarchive', 'delete', 'purge')))::text
   from kata.acts(:'house') a),
  '(15,0,t)', 'a purge leaves the acts and their digests, and no content');
select is(array(select v::text from kata.verify(c.id::uuid) v), '{}', 'purged acts are sound: ' || c.name)
from (values (:'house', 'of the context'), (:'shed', 'of its fork')) c(id, name);
select is(fixture.damage(format(d.statement, :'house'), 'house') && array['receipt', 'act', 'left behind'], true,
  'it is found: ' || d.statement)
from (values
  ('update kata_data.purge set removed = removed + 1 where context_id = %L'), ('delete from kata_data.purge where context_id = %L'),
  ('update kata_data.purge set purged_by = ''other'' where context_id = %L'),
  ('update kata_data.context set purged_at = purged_at - interval ''1 day'' where context_id = %L')) d(statement);

select * from finish();
rollback;
