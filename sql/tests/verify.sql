-- Damage does not stay hidden: verify finds every kind of it, says which, and finds nothing where nothing is wrong.

begin;
select plan(259);

-- Sound data of every kind

select fixture.context('sound') as sound \gset
select fixture.talk(
  'sound', 'system 1, user 2, assistant 4 calls a b, tool 8 answers b, user 16 pinned, assistant 32 calls c, tool 64 answers a');
select fixture.talk('sound', 'assistant 128 calls d');
select kata.append(
  :'sound',
  $$[
      {"role": "user", "content": null, "parts": [{"type": "text", "text": "é 🚀"}], "metadata": {"a": 1.50}, "provider": {"x": null},
      "name": "ann", "model": "m"}]$$);
select fixture.context('loose', '{"strict": false, "notify": true}') as loose \gset
select fixture.talk('loose', 'tool 1 answers unknown, user 2, tool 3 answers unknown');
select fixture.context('empty') as empty \gset
select fixture.context('gone') as gone \gset
select fixture.talk('gone', 'user 1');
select kata.delete_context(:'gone');
select fixture.context('shelved') as shelved \gset
select kata.archive_context(:'shelved');
select fixture.context('trunk') as trunk \gset
select fixture.talk('trunk', 'system 1, user 2, assistant 4 calls a b, tool 8 answers a, user 16');
select fixture.fork('trunk', 4, 'branch') as branch \gset
select fixture.talk('branch', 'tool 32 answers b, user 64');
select fixture.fork('branch', 5, 'twig') as twig \gset
select fixture.talk('twig', 'user 128, user 256');
select fixture.fork('trunk', 0, 'bare') as bare \gset
select kata.put_token_counts(:'twig', 'cl100k_base', '{1,5,6}', '{1,2,3}');
select fixture.context('merged') as merged \gset
select fixture.talk('merged', 'user 1');
select count(*) from kata.merge(:'merged', :'twig', '{[6,7]}');
select kata.checkpoint(:'merged', 'start', 0), kata.checkpoint(:'merged', 'end');

select is(array(select v::text from kata.verify(c.id::uuid) v), '{}', 'it is sound: ' || c.name)
from (values
  (:'sound', 'parallel, interleaved and open calls, pins, parts'), (:'loose', 'orphans that were let in'), (:'empty', 'an empty context'),
  (:'gone', 'a deleted context'),
  (:'shelved', 'an archived context'), (:'trunk', 'a parent'), (:'branch', 'a fork inside a group'), (:'twig', 'a fork of a fork'),
  (:'bare', 'a fork of nothing'), (:'merged', 'merged messages and checkpoints')) c(id, name);
select is(fixture.damage('select'), '{}', 'all contexts and the rows between them are sound');
select throws_ok($$select kata.verify('00000000-0000-7000-8000-000000000000')$$, 'KC001', null, 'an unknown context is not verified');
select is((select count(*) from kata.verify()), 0::bigint, 'without a context the caller''s tenant is verified');
-- The log

create function pg_temp.damaged(changes text, context text, version bigint) returns text[]
language sql
as $$
  select fixture.damage(
    format('update kata_data.message m set %s where m.segment_id = %L and m.version = %s', changes, fixture.id(context), version), context)
$$;

select is(
  fixture.damage(
    format('delete from kata_data.message m where m.segment_id = %L and m.version = 2', :'sound'), 'sound') @> '{row gone at 2}',
  true, 'a row gone in the middle is found');
select is(
  fixture.damage(
    format('delete from kata_data.message m where m.segment_id = %L and m.version = 1', :'sound'), 'sound') @> '{row gone at 1}',
  true, 'a first row gone is found');
select is(
  fixture.damage(
    format('delete from kata_data.message m where m.segment_id = %L and m.version = 9', :'sound'), 'sound') @> '{row gone at 9}',
  true, 'a last row gone is found');
select is(
  fixture.damage(format('delete from kata_data.message m where m.segment_id = %L', :'sound'), 'sound') @> '{row gone at 1}', true,
  'a whole log gone is found');
select is(
  fixture.damage(
    format('delete from kata_data.message m where m.segment_id = %L and m.version between 3 and 4', :'trunk'), 'twig') @> '{row gone at 3}',
  true, 'a row gone from an ancestor is found in the fork');
select is(fixture.damage(format($$
    insert into kata_data.message (
      segment_id, version, tokens_through, group_version, created_at, token_count, pinned, role, token_source, digest, content)
    values (%L, 10, 1000, 10, now(), 5, false, 'user', 'given', '\x00', 'slipped in')$$, :'sound'),
    'sound'), '{row added at 10}', 'a row added is found');
select is(fixture.damage(format($$
    insert into kata_data.message (
      segment_id, version, tokens_through, group_version, created_at, token_count, pinned, role, token_source, digest, content)
    values (%L, 1, 1, 1, now(), 1, false, 'user', 'given', '\x00', 'slipped in')$$, :'empty'),
    'empty'), '{row added at 1}', 'a row added to an empty context is found');
select is(pg_temp.damaged(d.changes, 'sound', d.version) @> array[d.problem], true, d.description)
from (values
  ('content = content || '' ''', 2, 'digest at 2', 'content that was changed is found'),
  ('content = null', 9, 'digest at 9', 'content that was removed is found'),
  ('content = ''''', 2, 'digest at 2', 'content that was emptied is found'),
  ('role = ''developer''', 2, 'digest at 2', 'a role that was changed is found'),
  ('role = ''assistant''', 4, 'group at 4', 'a result that was made an assistant''s message leaves its group'),
  ('token_count = token_count + 1', 2, 'running total at 2', 'a token count that was changed is found'),
  ('token_count = token_count + 1', 2, 'digest at 2', 'a token count that was changed is in the digest'),
  ('token_source = ''exact''', 2, 'digest at 2', 'a source of a count that was changed is found'),
  ('tokens_through = tokens_through + 1', 2, 'running total at 2', 'a running total that was changed is found'),
  ('tokens_through = tokens_through - 1', 9, 'running total at 9', 'the last running total that was changed is found'),
  ('group_version = 4', 4, 'group at 4', 'a result that was taken from its group is found'),
  ('group_version = 1', 2, 'group at 2', 'a message that was put into a group is found'),
  ('group_tokens = group_tokens + 1', 4, 'group at 4', 'tokens of a group that were changed are found'),
  ('group_tokens = 5', 2, 'group at 2', 'tokens of a group that is none are found'),
  ('oldest_open_group = null', 4, 'group at 4', 'an oldest open group that was removed is found'),
  ('oldest_open_group = 3', 8, 'group at 8', 'an oldest open group that was changed is found'),
  ('turn_version = 2', 9, 'turn at 9', 'another user message is found'),
  ('salt = salt || salt', 5, 'digest at 5', 'a salt that was changed is found'),
  ('occurred_at = now()', 5, 'digest at 5', 'a time of the caller that was added is found'),
  ('digest = sha256(digest)', 5, 'digest at 5', 'a digest that was changed is found'),
  ('digest = sha256(digest)', 9, 'digest at 9', 'the last digest that was changed is found'),
  ('tool_calls = tool_calls || ''["x"]''', 3, 'unreadable', 'a row that cannot be read is found'),
  ('created_at = created_at - interval ''1 day''', 8, 'time at 8', 'time that runs back is found'),
  ('created_at = created_at + interval ''1 us''', 2, 'digest at 2', 'a time that was changed is found'),
  ('pinned = true', 2, 'digest at 2', 'a pin that was put is found'),
  ('pinned = false', 5, 'digest at 5', 'a pin that was taken is found'),
  ('tool_call_id = ''b2''', 4, 'digest at 4', 'a call id that was changed is found'),
  ('tool_calls = tool_calls - 1', 3, 'digest at 3', 'a call that was removed is found'),
  ('tool_calls = jsonb_set(tool_calls, ''{0,function,arguments}'', ''"{ }"'')', 3, 'digest at 3', 'arguments that were changed are found'),
  ('tool_name = ''f''', 4, 'digest at 4', 'a tool name that was changed is found'),
  ('name = ''bob''', 9, 'digest at 9', 'a name that was changed is found'),
  ('name = null', 9, 'digest at 9', 'a name that was removed is found'),
  ('model = ''n''', 9, 'digest at 9', 'a model that was changed is found'),
  ('parts = ''[]''', 9, 'digest at 9', 'parts that were changed are found'),
  ('provider = ''{}''', 9, 'digest at 9', 'provider fields that were changed are found'),
  ('metadata = ''{"a": 1.5}''', 9, 'digest at 9', 'metadata that were changed are found'),
  ('name = model, model = name', 9, 'digest at 9', 'values that changed places are found'),
  ('name = null, model = null, tool_name = ''annm''', 9, 'digest at 9', 'values that moved are found')
) d(changes, version, problem, description);
select is(pg_temp.damaged('version = -version', 'sound', 2) @> '{row gone at 2}', true, 'a row that was renumbered is gone');
select is(fixture.damage(format($$update kata_data.message m set content = o.content from kata_data.message o
    where m.segment_id = %1$L and o.segment_id = %1$L and (m.version, o.version) in ((1, 2), (2, 1))$$, :'sound'),
    'sound') @> '{digest at 1,digest at 2}', true, 'contents that changed places are found');
select is(fixture.damage(format($$
    update kata_data.message m set content = 'forged',
    digest = kata_data.entry_digest(kata_data.first_digest(%1$L), kata_data.frame_of(m), kata_data.content_digest(m.salt, '|f|forged'))
    where m.segment_id = %1$L and m.version = 1$$, :'sound'),
    'sound'), '{digest at 2}', 'content that was forged with its digest breaks the chain at the next entry');
select is(fixture.damage(format($$
    update kata_data.message m set content = 'forged',
    digest = kata_data.entry_digest(kata_data.first_digest(%1$L), kata_data.frame_of(m), kata_data.content_digest(m.salt, '|f|forged'))
    where m.segment_id = %1$L and m.version = 1$$, :'gone'),
    'gone'), '{digest}', 'a last entry that was forged with its digest does not end the chain of the head');
select is(pg_temp.damaged('content = ''x''', 'trunk', 1), '{digest at 1}', 'damage is found in the context that wrote the row');
select is(
  fixture.damage(format('update kata_data.message set content = %L where segment_id = %L and version = 1', 'x', :'trunk'), 'twig'),
  '{digest at 1}', 'and in every fork that reads it');
select is(
  fixture.damage(format('update kata_data.message set content = %L where segment_id = %L and version = 5', 'x', :'trunk'), 'twig'), '{}',
  'but not in one that was forked before it');

-- Pages: messages that only follow from the one before are compared in pages of 1,000, and damage at an edge is found once.

select fixture.context('long') as long \gset
select count(*) from kata.append(:'long', (select jsonb_agg('{"role": "user", "content": "x"}'::jsonb) from generate_series(1, 2002)));
select kata.pin(:'long', 3);
select fixture.talk('long', 'user 1, user 2, user 4');
select is(array(select v::text from kata.verify(:'long') v), '{}', 'a log of several pages is sound');
select is(pg_temp.damaged(d.changes, 'long', v.version), array[d.problem || ' at ' || v.version], d.changes || ' is found at ' || v.version)
from (values (500), (1000), (1001), (2005)) v(version)
cross join (values
  ('content = ''forged''', 'digest'), ('group_tokens = 5', 'group'), ('oldest_open_group = 1', 'group'), ('turn_version = 1', 'turn'),
  ('metadata = ''{}''', 'digest')
) d(changes, problem);
select is(
  fixture.damage(format('delete from kata_data.message m where m.segment_id = %L and m.version = %s', :'long', v.version), 'long'),
  array['digest at ' || v.version + 1, 'head counters', 'row gone at ' || v.version], 'a row gone at ' || v.version || ' is found')
from (values (1000), (1001)) v(version);

-- The head

create function pg_temp.damaged_head(changes text, context text) returns text[]
language sql
as $$
  select fixture.damage(format('update kata_data.head h set %s where h.context_id = %L', changes, fixture.id(context)), context)
$$;
select is(pg_temp.damaged_head(d.changes, 'sound'), d.problems::text[], d.description)
from (values
  ('message_count = message_count + 1', '{head counters}', 'a message count that is off is found'),
  ('raw_tokens = raw_tokens - 1', '{head counters}', 'a token total that is off is found'),
  ('view_tokens = view_tokens + 1', '{head counters}', 'a total of the view that is off is found'),
  ('content_version = content_version - 1', '{head counters}', 'a content version that is off is found'),
  ('preamble_end = preamble_end + 1', '{head counters}', 'a preamble that is too long is found'),
  ('preamble_end = null', '{head counters}', 'a preamble that was opened is found'),
  ('last_at = last_at - interval ''1 day''', '{head counters}', 'a last time before the last entry''s is found'),
  ('closed = true', '{due,head counters}', 'a head that is closed while its context is not is found'),
  (
    'version = version + 1, message_count = message_count + 1, content_version = content_version + 1', '{head counters,row gone at 10}',
    'a version without entry is found'),
  ('open_calls = ''{}''', '{open calls}', 'open calls that were forgotten are found'),
  ('open_calls = open_calls || ''{"z": 3}''', '{open calls}', 'an open call without a call is found'),
  ('open_calls = open_calls || ''{"d": 3}''', '{open calls}', 'an open call in the wrong group is found'),
  ('open_groups = ''{}''', '{open calls}', 'open groups that were forgotten are found'),
  ('open_groups = open_groups || ''{"8": 129}''', '{open calls}', 'an open group with other tokens is found'),
  ('last_digest = sha256(last_digest)', '{digest}', 'a last digest that is off is found')
) d(changes, problems, description);
select is(pg_temp.damaged_head('version = 8', 'sound') @> '{row added at 9}', true, 'a head that stays behind its log is found');
select is(
  pg_temp.damaged_head('closed = false', 'gone'), '{due,head counters}', 'a head that is open while its context is deleted is found');
select is(pg_temp.damaged_head('raw_tokens = 1', 'empty'), '{head counters}', 'tokens of an empty context are found');
select is(
  fixture.damage(format('delete from kata_data.head where context_id = %L', :'sound')), '{head counters}', 'a context without head is found'
);
select is(
  fixture.damage(format('update kata_data.context set deleted_at = null where context_id = %L', :'gone'), 'gone'), '{act,head counters}',
  'a context that was restored by hand is found');

-- The lineage

create function pg_temp.damaged_lineage(statement text, context text) returns text[]
language sql
as $$
  select fixture.damage(format(statement, fixture.id(context)), context)
$$;
select is(pg_temp.damaged_lineage(d.statement, 'twig') @> array[d.problem], true, d.description)
from (values
  (
    'delete from kata_data.lineage where context_id = %L and first_version = 5', 'lineage gap at 5',
    'a gap in the middle of a lineage is found'),
  (
    'delete from kata_data.lineage where context_id = %L and first_version = 1', 'lineage gap at 1',
    'a gap at the start of a lineage is found'),
  ('delete from kata_data.lineage where context_id = %L and first_version = 6', 'lineage gap', 'a lineage without own segment is found'),
  ('delete from kata_data.lineage where context_id = %L', 'lineage gap', 'a context without lineage is found'),
  (
    'update kata_data.lineage set last_version = 3 where context_id = %L and first_version = 1', 'lineage gap at 4',
    'a segment that ends too early is found'),
  (
    'update kata_data.lineage set last_version = 100 where context_id = %L and first_version = 6', 'lineage gap',
    'an own segment that ends is found'),
  (
    'update kata_data.lineage set last_version = 5 where context_id = %L and first_version = 1', 'lineage overlap at 5',
    'segments that overlap are found'),
  (
    'update kata_data.lineage set last_version = 9223372036854775807 where context_id = %L and first_version = 1', 'lineage overlap at 5',
    'an open end in the middle is found'),
  (
    'update kata_data.lineage set first_version = 4 where context_id = %L and first_version = 5', 'lineage overlap at 4',
    'a segment that starts too early is found'),
  (
    'update kata_data.lineage l set segment_id = c.family_id from kata_data.context c where l.context_id = %L and c.context_id = '
      'l.context_id and l.first_version = 6',
    'lineage gap', 'an own segment of another context is found'),
  (
    'update kata_data.lineage l set segment_id = c.family_id from kata_data.context c where l.context_id = %L and c.context_id = '
      'l.context_id and l.first_version = 5',
    'broken parent', 'a lineage that is not the parent''s is found')
) d(statement, problem, description);
select is(
  fixture.damage(format('delete from kata_data.lineage where context_id = %L', :'empty'), 'empty') @> '{lineage gap}', true,
  'an empty context without lineage is found');
set local statement_timeout = '10s';
select is(
  fixture.damage(format('update kata_data.context set %s where context_id = %L', d.changes, :'twig'), 'twig') @> '{broken parent}', true,
  d.description)
from (values
  (format('parent_id = %L', :'trunk'), 'another parent is found'),
  (format('parent_id = %L', :'sound'), 'a parent of another family is found'),
  (format('parent_id = %L', :'twig'), 'a context that is its own parent is found'),
  (format('parent_id = %L, purged_at = now(), deleted_at = now()', :'twig'), 'so is one that is purged'),
  ('parent_id = ''00000000-0000-7000-8000-000000000000''', 'a parent that does not exist is found'),
  ('fork_version = 99', 'a fork beyond the parent''s head is found'),
  ('depth = 5', 'another depth is found'),
  (format('family_id = %L', :'sound'), 'another family is found')
) d(changes, description);
select is(
  fixture.damage(
    format('update kata_data.context set parent_id = %L where context_id = %L', :'twig', :'branch'), 'branch') @> '{broken parent}', true,
  'a circle of parents is found');
select is(
  fixture.damage(format('update kata_data.context set fork_version = 4 where context_id = %L', :'twig'), 'twig'),
  '{act,act at 4,lineage gap}', 'another fork version is found');
select is(
  fixture.damage(
    format(
      'update kata_data.context set tenant = %L where context_id = %L; update kata_data.head set tenant = %1$L where context_id = %2$L',
      'other', :'twig')) @> '{broken parent}',
  true, 'a fork of another tenant is found');
select is(
  fixture.damage(format('delete from kata_data.context where context_id = %L', :'trunk'), 'branch') @> '{broken parent}', true,
  'a parent that is gone is found');
select is(
  fixture.damage(
    format('update kata_data.head set version = 1::bigint << 60 where context_id = %L', :'sound'), 'sound') @> '{row gone at 10}', true,
  'a head that is far beyond the log is found at once');
reset statement_timeout;
select is(
  fixture.damage(format('delete from kata_data.head where context_id = %L', :'branch'), 'twig') @> '{broken parent}', true,
  'a parent without head is found');

-- What points at versions

select is(fixture.damage(format(d.statement, :'merged', :'twig'), 'merged'), d.problems::text[], d.description)
from (values
  (
    'update kata_data.checkpoint set version = 4 where context_id = %L and name = ''end''', '{act at 4,dangling checkpoint at 4}',
    'a checkpoint of a version that does not exist is found'),
  (
    'update kata_data.head set version = 2, message_count = 2, content_version = 2 where context_id = %L',
    '{dangling checkpoint at 3,digest,head counters,row added at 3}', 'so is one that the head went back behind'),
  ('insert into kata_data.merge_origin values (%L, 1, %L, 99, %2$L, 6)',
    '{dangling origin at 1,digest at 1}', 'a copy of nothing is found'),
  (
    'insert into kata_data.merge_origin values (%L, 1, %L, 6, %2$L, 99)', '{dangling origin at 1,digest at 1,wrong origin at 1}',
    'a copy that goes back to nothing is found'),
  (
    'delete from kata_data.message where segment_id = %2$L and version = 6', '{dangling origin at 2}',
    'a copy whose source is gone is found'),
  (
    'insert into kata_data.merge_origin values (%L, 1, %L, 6, %2$L, 7)', '{digest at 1,wrong origin at 1}',
    'a copy that goes back to another message is found'),
  (
    'insert into kata_data.merge_origin values (%1$L, 1, %1$L, 2, %2$L, 7)', '{digest at 1,wrong origin at 1}',
    'a copy of a copy that goes back to another one, too'),
  (
    'insert into kata_data.merge_origin values (%1$L, 1, %1$L, 1, %1$L, 1)', '{digest at 1,wrong origin at 1}',
    'a copy of itself is found'),
  (
    'insert into kata_data.merge_origin values (%2$L, 6, %1$L, 2, %2$L, 6)', '{wrong origin at 2}',
    'also by way of another one'),
  (
    'update kata_data.head set tenant = ''other'' where context_id = %2$L', '{wrong origin at 2,wrong origin at 3}',
    'a copy of a message of another tenant is found'),
  (
    'insert into kata_data.merge_origin values (%L, 1, %L, 6, %2$L, 6)', '{digest at 1,wrong origin at 1}',
    'a copy with other words is found'),
  (
    'delete from kata_data.message where segment_id = %2$L and version = 6; update kata_data.context set deleted_at = now(), '
      'purged_at = now() where context_id = %2$L',
    '{}', 'but not one whose source was purged')) d(statement,
  problems, description);

-- Orphans

select is(
  fixture.damage(format('insert into kata_data.merge_origin values (%L, 9, %L, 6, %2$L, 6)', :'merged', :'twig')) @> '{orphan row at 9}',
  true, 'an origin of no message is found');
select is(
  fixture.damage(format('insert into kata_data.entry_id values (%L, %L, 1)', :'merged', 'lost')) @> '{orphan row at 1}',
  true, 'an external id of no entry is found');
select is(
  fixture.damage(
    format('insert into kata_data.checkpoint values (%L, %L, 3, null, now())', '00000000-0000-7000-8000-000000000000', 'lost')),
  '{orphan row at 3}', 'a checkpoint of no context is found');

select is(fixture.damage(format($$
    insert into kata_data.message (
      segment_id, version, tokens_through, group_version, created_at, token_count, pinned, role, token_source, digest, content)
    values ('00000000-0000-7000-8000-000000000000', 3, 5, 3, now(), 5, false, 'user', 'given', '\x00', 'lost'),
    ('00000000-0000-7000-8000-000000000000', 4, 5, 4, now(), 5, false, 'user', 'given', '\x00', 'lost')$$)),
  '{orphan row at 3}', 'messages of no context are found, the first of each segment');
select is(fixture.damage(format($$
    insert into kata_data.message (
      segment_id, version, tokens_through, group_version, created_at, token_count, pinned, role, token_source, digest, content)
    values (
      %L, 2, 5, 2, now(), 5, false, 'user', 'given', '\x00', 'below the fork'
    )$$, :'twig')), '{orphan row at 2}', 'a message of a fork below its fork version is found');
select is(fixture.damage(format($$
    insert into kata_data.message (
      segment_id, version, tokens_through, group_version, created_at, token_count, pinned, role, token_source, digest, content)
    values (
      %L, 0, 5, 0, now(), 5, false, 'user', 'given', '\x00', 'before the beginning'
    )$$, :'sound')), '{orphan row at 0}', 'a message before version 1 is found');
select is(
  fixture.damage(format('insert into kata_data.token_count values (%L, 99, %L, 5)', :'sound', 'cl100k_base')), '{orphan row at 99}',
  'a count of no message is found');
select is(
  fixture.damage(format('insert into kata_data.token_count values (%L, 1, %L, 5)', '00000000-0000-7000-8000-000000000000', 'cl100k_base')),
  '{orphan row at 1}', 'a count of no context is found');
select is(
  fixture.damage(
    format('insert into kata_data.lineage values (%L, 1, 9223372036854775807, %1$L)', '00000000-0000-7000-8000-000000000000')
  ) @> '{orphan row}',
  true, 'a lineage of no context is found');
select is(
  fixture.damage(
    format(
      'insert into kata_data.head (context_id, tenant, tokenizer, last_digest) values (%L, %L, %L, %L)',
      '00000000-0000-7000-8000-000000000000', 'default', 'o200k_base', '\x00')) @> '{orphan row}',
  true,
  'a head of no context is found');

select is(
  fixture.damage(format('delete from kata_data.context where context_id = %L', :'sound')) @> '{orphan row}', true,
  'a context that is gone from among its head, lineage and log is found');

-- Views

select fixture.context(
  'viewed', '{"preserve_recent_count": 2, "min_gain_tokens": 0, "budget": 100, "threshold": 0.5, "every_messages": 4}') as viewed \gset
select fixture.talk('viewed', 'system 10, user 20, assistant 30 calls a');
select kata.append_message(:'viewed', 'tool', repeat('result ', 400), 400, 'a');
select fixture.talk('viewed', 'user 40, assistant 50, user 60, assistant 70, user 80');
select kata.elide(:'viewed', 4);
select kata.delete_messages(:'viewed', 5);
select kata.pin(:'viewed', 2);
select kata.undo(:'viewed', 11);
select fixture.compact('viewed');
select kata.unpin(:'viewed', 2);
select fixture.talk('viewed', 'assistant 90, user 100');
select fixture.fork('viewed', 14, 'viewing') as viewing \gset
select kata.undo(:'viewing', 14);
select kata.elide(:'viewing', 4, keep_tokens => 50);
select is(array(select v::text from kata.verify(c.id::uuid) v), '{}', 'it is sound: ' || c.name)
from (values (:'viewed', 'a view with changes of every kind'), (:'viewing', 'a fork with a view')) c(id, name);

create function pg_temp.damaged_view(changes text, version bigint, context text default 'viewed') returns text[]
language sql
as $$
  select fixture.damage(
    format('update kata_data.view_change c set %s where c.segment_id = %L and c.version = %s', changes, fixture.id('viewed'), version),
    context)
$$;
select is(pg_temp.damaged_view(d.changes, d.version) @> array[d.problem], true, d.description)
from (values
  ('visible = visible - ''{[1,2)}''', 10, 'view at 10', 'a message that was taken out of a view is found'),
  ('visible = visible + ''{[3,5)}''', 14, 'view at 14', 'one that was put into a view is found'),
  ('deleted = deleted + ''{[3,4)}'', visible = visible - ''{[3,4)}''', 12, 'view at 12', 'a deletion without a change is found'),
  ('deleted = ''{}''', 11, 'view at 11', 'a deletion that was taken out is found'),
  ('rewound = rewound + ''{[3,4)}'', visible = visible - ''{[3,4)}''', 12, 'view at 12', 'a message that was taken off the line is found'),
  ('pinned_groups = ''{}''', 12, 'view at 12', 'a pin that was taken off is found'),
  ('pinned_groups = ''{2,3}''', 13, 'view at 13', 'a pin without a change is found'),
  ('elisions = ''{}''', 10, 'view at 10', 'an elision that is not in force is found'),
  ('elisions = elisions || 0', 10, 'view at 10', 'one without a change is found'),
  ('replacements = ''{}'', covers = ''{}''', 14, 'view at 14', 'a summary that was taken out of a view is found'),
  ('covers = array[''{[3,7)}''::int8multirange]', 14, 'view at 14', 'what it covers is folded, too'),
  ('covers = array[''{[2,7)}''::int8multirange]', 15, 'view at 15', 'also later'),
  ('versions = ''{[6,7)}''', 11, 'view at 11', 'a deletion of something else is found'),
  ('versions = ''{[6,7)}''', 11, 'digest at 11', 'its digest differs, too'),
  ('versions = ''{[6,7)}''', 10, 'stub at 10', 'an elision of something else is found'),
  ('kind = ''pin''', 11, 'view at 11', 'another kind is found'),
  ('kind = ''unpin''', 12, 'digest at 12', 'its digest differs, too'),
  ('undone_version = 10', 13, 'view at 13', 'an undo of something else is found'),
  ('undone_version = 13', 13, 'view at 13', 'an undo of itself is found'),
  ('undone_version = 15', 13, 'view at 13', 'an undo of what comes later is found'),
  ('view_tokens = view_tokens + 1', 14, 'running total at 14', 'a total of the view that is off is found'),
  ('raw_tokens = raw_tokens - 1', 12, 'running total at 12', 'a total of the log that is off is found'),
  ('message_count = message_count - 1', 15, 'running total at 15', 'a count that is off is found'),
  ('content_version = 10', 10, 'running total at 10', 'a content version that is off is found'),
  ('content_version = 9', 13, 'running total at 13', 'that an undo of a deletion is one is not forgotten'),
  ('preamble_end = 2', 11, 'state of the log at 11', 'another preamble is found'),
  ('oldest_open_group = 3', 11, 'state of the log at 11', 'an open call that is none is found'),
  ('turn_version = 1', 11, 'state of the log at 11', 'another last request is found'),
  ('preamble_end = 2', 11, 'digest at 11', 'its digest differs, too'),
  ('digest = sha256(digest)', 12, 'digest at 12', 'a digest that was changed is found'),
  ('digest = sha256(digest)', 15, 'digest at 15', 'the last one, too'),
  ('created_at = created_at - interval ''1 day''', 12, 'time at 12', 'time that runs back is found'),
  ('created_at = created_at + interval ''1 us''', 12, 'digest at 12', 'a time that was changed is found'),
  ('is_summarized = false', 14, 'summary at 14', 'a summary that should not be there is found'),
  ('is_summarized = true', 11, 'summary at 11', 'one that should be there is found')
) d(changes, version, problem, description);
select is(pg_temp.damaged_view('change_id = -change_id', 10, null) @> '{orphan row at 4}', true, 'stubs of no elision are found');
select is(
  pg_temp.damaged_view('visible = visible - ''{[1,2)}''', 10, 'viewing') @> '{view at 10}', true,
  'a wrong fold is found in every fork that reads it');
select is(
  fixture.damage(
    format('delete from kata_data.view_change where segment_id = %L and version = %s', :'viewed', v.version), v.context
  ) @> array[v.problem],
  true, v.what)
from (values
  (11, 'viewed', 'row gone at 11', 'a view change that is gone is found'), (15, 'viewed', 'row gone at 15', 'the last one, too'),
  (12, 'viewing', 'row gone at 12', 'also in a fork'),
  (14, null, 'orphan row at 14', 'the summary that it leaves, too'), (10, null, 'orphan row at 4', 'and the stubs'),
  (14, null, 'compaction at 14', 'and the compaction')) v(version, context, problem, what);
select is(
  fixture.damage(
    format(
      $$insert into kata_data.view_change select %L, %s, nextval('kata_data.change_id'), kind, created_at, digest, versions, undone_version,
        rewound_to, is_summarized, content_version, message_count, raw_tokens, view_tokens,
    preamble_end, oldest_open_group, turn_version, visible, deleted, rewound, pinned_groups, elisions, replacements, covers,
    amendments, amended_from, reworded, tools_version, tools_digest, tools_tokens
    from kata_data.view_change
    where segment_id = %L and version = 12$$, v.segment_id, v.version, :'viewed'), v.context) @> array[v.problem], true, v.what)
from (values
  (:'viewed', 18, 'viewed', 'row added at 18', 'a view change that was added is found'),
  (:'viewed', 9, 'viewed', 'row added at 9', 'one at the version of a message is found'),
  (:'viewing', 3, null, 'orphan row at 3', 'one below the fork version is found'),
  ('00000000-0000-7000-8000-000000000000', 3, null, 'orphan row at 3', 'one of no context is found')) v(segment_id, version, context,
  problem, what);
select is(
  fixture.damage(format('update kata_data.summary s set %s where s.segment_id = %L', d.changes, :'viewed'), 'viewed') @> array[d.problem],
  true, d.description)
from (values
  ('content = ''forged''', 'digest at 14', 'a summary whose text was changed is found'),
  ('role = ''developer''', 'digest at 14', 'one whose role was changed is found'),
  ('token_count = token_count + 1', 'digest at 14', 'one whose tokens were changed is found'),
  ('token_count = token_count + 1', 'running total at 14', 'in the total, too'),
  ('token_count = token_count + 1', 'head counters', 'and in the head'),
  ('token_source = ''exact''', 'digest at 14', 'one whose count comes from elsewhere is found'),
  ('metadata = ''{}''', 'digest at 14', 'one whose metadata were changed is found'),
  ('covered = ''{[3,4)}''', 'summary at 14', 'one that covers something else is found'),
  ('created_at = created_at - interval ''1 us''', 'summary at 14', 'one of another time is found'),
  ('version = 13', 'summary at 13', 'one at another version is found'), ('version = 13', 'summary at 14', 'and missed where it was')
) d(changes, problem, description);
select is(
  fixture.damage(format('delete from kata_data.summary s where s.segment_id = %L', :'viewed'), 'viewed') @> '{digest at 14,summary at 14}',
  true, 'a summary that is gone is found');
select is(
  fixture.damage(format('delete from kata_data.summary s where s.segment_id = %L', :'viewed'), 'viewing') @> '{digest at 14,summary at 14}',
  true, 'also in a fork');
select is(
  fixture.damage(
    $$insert into kata_data.summary values ('00000000-0000-7000-8000-000000000000', 3, 'user', null, 'x', 1, 'given', '{}', now(), null)$$),
  '{orphan row at 3}', 'a summary of no context is found');
select is(
  fixture.damage(
    format(
      'update kata_data.stub s set %s where s.segment_id = %L and s.change_id = (select change_id from kata_data.view_change where '
        'segment_id = %2$L and version = 10)',
      d.changes, :'viewed'),
    'viewed') @> array[d.problem],
  true, d.description)
from (values
  ('content = content || ''x''', 'stub at 10', 'a stub whose text was changed is found'),
  (
    'content = content || ''x'', digest = sha256(convert_to(content || ''x'', ''UTF8''))', 'digest at 10',
    'one that was forged with its digest is found'),
  ('token_count = token_count - 1', 'stub at 10', 'one whose tokens were changed is found'),
  ('saved_tokens = saved_tokens - 1', 'stub at 10', 'one that saves something else is found'),
  ('token_count = token_count - 1, saved_tokens = saved_tokens + 1', 'running total at 10', 'in the total, too'),
  ('version = 3', 'stub at 10', 'one of another message is found')
) d(changes, problem, description);
select is(
  fixture.damage(format('delete from kata_data.stub s where s.segment_id = %L', :'viewed'), c.context) @> array[c.problem], true, c.what)
from (
  values ('viewed', 'stub at 10', 'a stub that is gone is found'),
  ('viewing', 'stub at 16', 'also that of a fork, of a message of its parent')) c(context, problem, what);
select is(
  fixture.damage(
    format(
      'insert into kata_data.stub select segment_id, %s, %s, change_id, amendment_id, saved_tokens, token_count, digest, '
        'salt, content from kata_data.stub where segment_id = %L',
      v.group_version, v.version, :'viewed'),
    v.context) @> array[v.problem],
  true, v.what)
from (
  values (6, 6, 'viewed', 'stub at 10', 'a stub that was added is found'), (99, 99, null, 'orphan row at 99', 'one of no message is found'),
  (4, 4, null, 'orphan row at 4', 'one of another group is found')) v(group_version, version, context, problem, what);

-- Salts: their length is fixed, else bytes could move between salt and text, and no digest would show it.

select fixture.context('salted', '{"preserve_recent_count": 1, "min_gain_tokens": 0}') as salted \gset
select fixture.talk('salted', 'system 1, user 2, assistant 3 calls a');
select kata.append_message(:'salted', 'tool', repeat('result ', 400), 400, 'a');
select kata.append_message(:'salted', 'user', 'delete it|f|keep it', 5);
select kata.append_record(:'salted', 'answer', '42');
select kata.elide(:'salted', 4);
select fixture.talk('salted', 'user 8');
select fixture.compact('salted', 'all is well|f|all is lost');
select is(array(select v::text from kata.verify(:'salted') v), '{}', 'texts that look like frames are sound');
select is(
  fixture.damage(
    format(
      'alter table kata_data.%1$I drop constraint if exists %1$s_salt_has_16_bytes; '
        'update kata_data.%1$I set %2$s where segment_id = %3$L and version = %4$s',
      d.what, d.changes, :'salted', d.version),
    'salted'),
  array[d.problem], d.description)
from (values
  (
    'message', 5, $$salt = salt || convert_to('|f|delete it', 'UTF8'), content = 'keep it'$$, 'salt at 5',
    'words of a message that were moved into the salt are found'),
  ('record', 6, $$salt = salt || convert_to('4', 'UTF8'), data = '2'$$, 'salt at 6', 'so is a digit of a record'),
  (
    'stub', 4, $$salt = salt || convert_to(left(content, 9), 'UTF8'), content = substr(content, 10)$$, 'stub at 7',
    'so is the beginning of a stub'),
  (
    'summary', 9, $$salt = salt || convert_to('|f|all is well', 'UTF8'), content = 'all is lost'$$, 'salt at 9',
    'so are the words of a summary'),
  ('stub', 4, 'salt = null, content = null', 'stub at 7', 'a stub that was blanked without an erasure is found')
) d(what, version, changes, problem, description);
select throws_matching(
  format(
    'insert into kata_data.%I select (jsonb_populate_record(t, %L)).* from kata_data.%1$I t where segment_id = %3$L', t,
    '{"version": -1, "salt": "\\x00"}', :'salted'),
  t || '_salt_has_16_bytes', 'no other length is stored: ' || t)
from unnest('{record,stub,summary}'::text[]) t;
select is(
  fixture.damage(format('delete from kata_data.record where segment_id = %L', :'salted'), 'salted'), '{digest at 6,record at 6}',
  'a record whose data are gone is found');

-- Compactions

select is(fixture.damage(format(d.statement, :'viewed'), 'viewed'), d.problems::text[], d.description)
from (values
  ('delete from kata_data.compaction where context_id = %L', '{act at 14,compaction at 14}', 'a compaction that is gone is found'),
  ('update kata_data.compaction set status = ''failed'' where context_id = %L', '{act at 14,compaction at 14}',
    'one that did not end so is found'),
  (
    'update kata_data.compaction set summary_version = 13 where context_id = %L', '{act at 13,compaction at 13,compaction at 14}',
    'one that took another version is found'),
  (
    'update kata_data.compaction set covered = ''{[3,4)}'' where context_id = %L', '{act at 14,compaction at 14}',
    'one that covered something else is found'),
  ('update kata_data.head set view_version = 14 where context_id = %L', '{head counters}', 'a head with an older view is found'),
  ('update kata_data.head set view_version = null where context_id = %L', '{head counters}', 'a head without the view is found'),
  (
    'update kata_data.head set view_tokens = view_tokens - 1 where context_id = %L', '{head counters}',
    'a head with a view of other tokens is found'),
  (
    'update kata_data.head set content_version = 15 where context_id = %L', '{head counters}',
    'a head with another content version is found'),
  ('update kata_data.head set due_tokens = due_tokens + 1 where context_id = %L', '{due}', 'a head with another threshold is found'),
  ('update kata_data.head set due_tokens = null where context_id = %L', '{due}', 'one without is found'),
  (
    'update kata_data.head set due_messages = due_messages + 1 where context_id = %L', '{due}',
    'a head that waits for more messages is found'),
  ('update kata_data.head set due_at = null where context_id = %L', '{due}', 'a head that forgot that it is due is found'),
  (
    'update kata_data.context set policy = policy || ''{"every_messages": 5}'' where context_id = %L', '{act,due}',
    'a policy that was changed by hand is found'),
  ('update kata_data.compaction_guard set least_tokens = 100000 where context_id = %L', '{due}', 'a guard that was changed is found')
) d(statement, problems, description);
select is(pg_temp.damaged_head('due_at = now()', 'sound'), '{due}', 'a head that says it is due when it is not is found');
select is(pg_temp.damaged_head('due_tokens = 1', 'gone'), '{due}', 'a deleted context is not due');

-- Access to the report

select is(fixture.damage('select'), '{}', 'what was damaged is whole again');
create role test_owner;
grant kata_reader to test_owner;
select is(fixture.as_role('test_owner', 'select count(*) from kata.verify()'), '0', 'a reader may verify');

select * from finish();
rollback;
