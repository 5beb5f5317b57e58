-- Pages have every message of the path once, in order, as of a fixed version; forks see their ancestors up to the fork, no others.

begin;
select plan(106);

select fixture.context('book') as book \gset
select fixture.talk('book', (select string_agg('user ' || i, ', ' order by i) from generate_series(1, 10) i));

-- Cursors and limits

select is(fixture.page('book'), '{1,2,3,4,5,6,7,8,9,10}', 'a page reads in the order of versions');
select is(fixture.page('book', max_rows => 3), '{1,2,3}', 'a page has at most so many rows');
select is(fixture.page('book', 3, 3), '{4,5,6}', 'the cursor itself is not on the next page');
select is(fixture.page('book', 9, 3), '{10}', 'the last page is short');
select is(fixture.page('book', 7, 3), '{8,9,10}', 'the last page may be full');
select is(fixture.page('book', 10), null, 'after the newest there is nothing');
select is(fixture.page('book', 99), null, 'after a version that is yet to come there is nothing');
select is(fixture.page('book', 9223372036854775807), null, 'after the greatest version there is nothing');
select is(fixture.page('book', 0, 2), '{1,2}', 'after 0 comes everything');
select is(fixture.page('book', -1), '{1,2,3,4,5,6,7,8,9,10}', 'after a negative cursor comes everything');
select is(fixture.page('book', (-9223372036854775808)::bigint, 2), '{1,2}', 'after the least number comes everything');
select is(fixture.page('book', descending => true), '{10,9,8,7,6,5,4,3,2,1}', 'descending is newest first');
select is(fixture.page('book', max_rows => 3, descending => true), '{10,9,8}', 'a descending page starts at the head');
select is(fixture.page('book', 8, 3, true), '{7,6,5}', 'a descending cursor is not on the next page');
select is(fixture.page('book', 2, 3, true), '{1}', 'the last descending page is short');
select is(fixture.page('book', 1, 3, true), null, 'before version 1 there is nothing');
select is(fixture.page('book', 0, 3, true), null, 'before version 0 there is nothing');
select is(fixture.page('book', -5, 3, true), null, 'before a negative cursor there is nothing');
select is(fixture.page('book', 99, 3, true), '{10,9,8}', 'before a version that is yet to come is everything');
select is(fixture.page('book', 9223372036854775807, 2, true), '{10,9}', 'before the greatest version is everything');
select is(fixture.page('book', max_rows => 1), '{1}', 'a page may have one row');
select is(cardinality(fixture.page('book', max_rows => 1000)), 10, 'a page may ask for 1,000 rows');
select throws_ok(
  format($$select fixture.page('book', max_rows => %s)$$, m.max_rows), 'KC017', null, 'a page of this length is refused: ' || m.max_rows)
from (values ('0'), ('-1'), ('1001'), ('null')) m(max_rows);
select throws_ok($$select kata.messages(fixture.id('book'), max_rows => 'abc')$$, '22P02', null, 'the length of a page is a number');
select results_eq(
  $$select * from fixture.error($q$select fixture.page('book', max_rows => 1001)$q$)$$,
  $$values ('KC017', 'max_rows is out of range', 'It is 1001.', 'Pass 1 to 1000, and read on with the cursor.')$$,
  'a page that is too long is refused with the bounds');
select is(
  (with recursive page as (
      select fixture.page('book', null, 3) as versions
      union all
      select fixture.page('book', p.versions[cardinality(p.versions)], 3) from page p where p.versions is not null
    )
    select array_agg(v.version) from page p cross join lateral unnest(p.versions) v(version)),
  '{1,2,3,4,5,6,7,8,9,10}', 'pages have every message once');

-- Visibility

select is(
  fixture.page('book', visibility => v.visibility), '{1,2,3,4,5,6,7,8,9,10}',
  'before any view change all that was said is visible: ' || v.visibility)
from (values ('effective'), ('raw'), ('all')) v(visibility);
select throws_ok(
  format($$select fixture.page('book', visibility => %L)$$, v.visibility), 'KC017', null,
  'a visibility must be known: ' || coalesce(v.visibility, 'null'))
from (values ('hidden'), (''), ('Raw'), (null)) v(visibility);
select results_eq(
  $$select * from fixture.error($q$select fixture.page('book', visibility => 'hidden')$q$)$$,
  $$values ('KC017', 'visibility "hidden" is unknown',
    'The visibility selects which messages are listed.', 'Pass effective, raw or all.')$$,
  'the error for an unknown visibility lists the known ones');

-- As of a version

select is(fixture.page('book', at => 4), '{1,2,3,4}', 'as of a version later messages are not there');
select is(fixture.page('book', at => 10), '{1,2,3,4,5,6,7,8,9,10}', 'as of the newest version everything is there');
select is(fixture.page('book', at => 0), null, 'as of version 0 there is nothing');
select is(fixture.page('book', 2, 10, at => 4), '{3,4}', 'a cursor works as of a version');
select is(fixture.page('book', 4, 10, at => 4), null, 'after the last page as of a version there is nothing');
select is(fixture.page('book', 7, 10, at => 4), null, 'a cursor beyond the version finds nothing');
select is(fixture.page('book', null, 2, true, at => 4), '{4,3}', 'descending starts at the version');
select is(fixture.page('book', 3, 2, true, at => 4), '{2,1}', 'a descending cursor works as of a version');
select is(fixture.page('book', 99, 2, true, at => 4), '{4,3}', 'a descending cursor beyond the version starts at it');
select is(fixture.page('book', 0, 10, true, at => 0), null, 'descending as of version 0 there is nothing');
select throws_ok(format($$select fixture.page('book', at => %s)$$, a.at), 'KC002', null, 'a version that is not there is refused: ' || a.at)
from (values ('11'), ('-1'), ('9223372036854775807')) a(at);
select results_eq(
  $$select * from fixture.error($q$select fixture.page('book', at => 11)$q$)$$,
  format($$values ('KC002', 'version 11 not found', 'Context %s has versions 0 to 10.', 'Pass one of these, or null for now.')$$, :'book'),
  'a version that is not there is refused with those that are');
select fixture.talk('book', 'user 11');
select is(fixture.page('book', 3, 3, at => 5), '{4,5}', 'what is appended later does not change a page as of a version');

-- One message

select is((select content from kata.get_message(:'book', 7)), 'user 7', 'a message is found by its version');
select results_eq(
  format('select g.* from generate_series(1, 11) v(version) cross join lateral kata.get_message(%L, v.version) g', :'book'),
  format('select m.* from kata.messages(%L) m', :'book'),
  'a message looks by itself as it does on a page');
select throws_ok(format('select kata.get_message(%L, %s)', :'book', v.version), 'KC002', null, 'no message has this version: ' || v.version)
from (values ('0'), ('-1'), ('12'), ('9223372036854775807'), ('-9223372036854775808'), ('null')) v(version);
select results_eq(
  format('select * from fixture.error($q$select kata.get_message(%L, 12)$q$)', :'book'),
  format(
    $$values ('KC002', 'version 12 not found', 'Context %s has no message of this version.', 'List what there is with kata.messages.')$$,
    :'book'),
  'a version without message is named, with the context');
select throws_ok(
  $$select kata.get_message('00000000-0000-7000-8000-000000000000', 1)$$, 'KC001', null, 'an unknown context has no message');
select throws_ok($$select kata.messages('00000000-0000-7000-8000-000000000000')$$, 'KC001', null, 'an unknown context has no pages');

-- Usage

select results_eq(
  format('select version, message_count, raw_tokens, view_tokens from kata.usage(%L)', :'book'),
  'values (11::bigint, 11::bigint, 66::bigint, 66::bigint)', 'usage counts everything');
select results_eq(
  format(
    'select u.version, u.message_count, u.raw_tokens, u.view_tokens from generate_series(0, 11) a(at) cross join lateral kata.usage(%L, '
      'a.at) u',
    :'book'),
  'select a.at, a.at, (a.at * (a.at + 1) / 2)::bigint, (a.at * (a.at + 1) / 2)::bigint from generate_series(0::bigint, 11) a(at)',
  'usage as of a version counts up to it');
select throws_ok(format('select kata.usage(%L, %s)', :'book', a.at), 'KC002', null, 'there is no usage as of this version: ' || a.at)
from (values (-1), (12)) a(at);
select throws_ok($$select kata.usage('00000000-0000-7000-8000-000000000000')$$, 'KC001', null, 'an unknown context has no usage');
select fixture.context('blank') as blank \gset
select results_eq(
  format('select version, message_count, raw_tokens, view_tokens from kata.usage(%L)', :'blank'),
  'values (0::bigint, 0::bigint, 0::bigint, 0::bigint)', 'an empty context uses nothing');
select is(fixture.page('blank'), null, 'an empty context has no messages');
select is(fixture.page('blank', descending => true), null, 'an empty context has no messages, newest first');
select throws_ok(format('select kata.get_message(%L, 1)', :'blank'), 'KC002', null, 'an empty context has no message 1');
select is(fixture.page('blank', at => 0), null, 'an empty context has version 0');

-- Along a lineage

select fixture.context('grandparent') as grandparent \gset
select fixture.talk('grandparent', 'user 1, user 2, user 3, user 4');
select fixture.fork('grandparent', 2, 'parent') as parent \gset
select fixture.fork('grandparent', 2, 'uncle') as uncle \gset
select fixture.talk('parent', 'assistant 10, assistant 20, assistant 30');
select fixture.fork('parent', 4, 'child') as child \gset
select fixture.fork('parent', 4, 'sibling') as sibling \gset
select fixture.fork('parent', 1, 'short') as short \gset
select fixture.fork('parent', 2, 'same point') as same_point \gset
select fixture.talk('child', 'user 100');
select fixture.talk('sibling', 'user 200, user 201');
select fixture.talk('uncle', 'user 300');
select fixture.talk('grandparent', 'user 5');
select fixture.talk('parent', 'assistant 40');
select fixture.talk('short', 'user 400');
create function pg_temp.told(context text, at bigint default null) returns text
language sql
as $$
  select string_agg(m.content, ', ' order by m.ordinality) from kata.messages(fixture.id(context), at => at) with ordinality m
$$;
select is(pg_temp.told(t.context), t.told, format('%s has the messages of its path', t.context))
from (values
  ('grandparent', 'user 1, user 2, user 3, user 4, user 5'),
  ('parent', 'user 1, user 2, assistant 10, assistant 20, assistant 30, assistant 40'),
  ('uncle', 'user 1, user 2, user 300'), ('child', 'user 1, user 2, assistant 10, assistant 20, user 100'),
  ('sibling', 'user 1, user 2, assistant 10, assistant 20, user 200, user 201'), ('short', 'user 1, user 400'),
  ('same point', 'user 1, user 2')
) t(context, told);
select is(pg_temp.told('child', t.at), t.told, format('the child as of version %s reads through its lineage', t.at))
from (
  values (0, null), (1, 'user 1'), (2, 'user 1, user 2'), (3, 'user 1, user 2, assistant 10'),
  (4, 'user 1, user 2, assistant 10, assistant 20')) t(at, told);
select is((select array_agg(version order by version) from kata.messages(:'child')), '{1,2,3,4,5}', 'versions go on from the fork');
select is(
  (
    select array_agg(s.name order by m.version)
    from kata.messages(:'child') m
    join (values (:'grandparent'::uuid, 'grandparent'), (:'parent', 'parent'), (:'child', 'child')) s(id, name) on s.id = m.segment_id),
  '{grandparent,grandparent,parent,parent,child}', 'every message says which context wrote it');
select is(fixture.page('child', 1, 2), '{2,3}', 'a page may span segments');
select is(fixture.page('child', 5, 3, true), '{4,3,2}', 'a descending page may span segments');
select is((select content from kata.get_message(:'child', 3)), 'assistant 10', 'a fork has the parent''s message of a version');
select is(
  (select content from kata.get_message(:'uncle', 3)), 'user 300', 'a fork has its own message of a version that the parent used, too');
select throws_ok(format('select kata.get_message(%L, 6)', :'child'), 'KC002', null, 'what a sibling wrote is not there');
select throws_ok(format('select kata.get_message(%L, 3)', :'short'), 'KC002', null, 'what an ancestor wrote after the fork is not there');
select throws_ok(format('select kata.messages(%L, at => 6)', :'child'), 'KC002', null, 'a fork does not reach versions of its sibling');
select results_eq(
  format('select u.raw_tokens from generate_series(0, 5) a(at) cross join lateral kata.usage(%L, a.at) u', :'child'),
  'values (0::bigint), (1), (3), (13), (33), (133)', 'usage counts along the path');
select results_eq(
  format('select version, message_count, raw_tokens, view_tokens, depth, fork_version from kata.get_context(%L)', :'child'),
  'values (5::bigint, 5::bigint, 133::bigint, 133::bigint, 2, 4::bigint)', 'a fork counts what it inherited');
select is(
  (
    select array_agg(distinct m.created_at < n.created_at)
    from kata.messages(:'child') m
    join kata.messages(:'child') n on n.version = m.version + 1
    where m.segment_id <> n.segment_id),
  '{t}',
  'time increases along the path');
select kata.delete_context(:'parent');
select is(pg_temp.told('child'), 'user 1, user 2, assistant 10, assistant 20, user 100', 'a fork of a deleted parent reads on');
select is((select count(*) from kata.verify(:'child')), 0::bigint, 'a fork of a deleted parent is sound');

-- What a model sees

select fixture.context('seen') as seen \gset
select kata.append(:'seen', fixture.drafts('user 1, assistant 2, user 3, assistant 4, user 5, assistant 6'));
select kata.set_policy(:'seen', '{"preserve_recent_count": 2}');
select kata.delete_messages(:'seen', 3);
select b.compaction_id as compaction from kata.begin_compaction(:'seen', force => true) b \gset
select c.summary_version as summary from kata.commit_compaction(:'compaction', 'short', 1) c \gset
select kata.append_message(:'seen', 'user', 'x', 1, external_id => 'x', occurred_at => '2020-01-01 00:00:00+00') as newest \gset
select kata.undo(:'seen', :summary);
create function pg_temp.unseen(visibility text, at bigint) returns bigint[]
language sql
as $$
  select array(
    select m.version
    from kata.messages(fixture.id('seen'), visibility => unseen.visibility, at => unseen.at) m
    where not m.in_view)
$$;
select is(pg_temp.unseen(u.visibility, u.at), u.versions::bigint[], u.what)
from (values
  ('all', 6, '{}', 'all that is appended is seen'), ('all', 7, '{3}', 'a deleted message is not'),
  ('all', :newest, '{1,2,3,4}', 'nor are those that a compaction covers'), ('raw', :newest, '{1,2,4}', 'which raw lists'),
  ('effective', :newest, '{}', 'a view has what is seen'), ('all', null, format('{3,%s}', :summary), 'nor is a summary that is undone')
) u(visibility, at, versions, what);
select is(
  (select row(m.in_view, m.external_id, m.occurred_at = '2020-01-01 00:00:00+00')::text from kata.get_message(:'seen', :newest) m),
  '(t,x,t)',
  'a message has the id and the time that the caller gave');

select * from finish();
rollback;
