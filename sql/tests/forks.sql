-- A fork is its parent up to a version, whichever that is, and from there on each goes its own way.

begin;
select plan(123);

create function pg_temp.told(context text, at bigint default null) returns text
language sql
as $$
  select string_agg(m.content, ', ' order by m.ordinality) from kata.messages(fixture.id(context), at => at) with ordinality m
$$;

-- At a version

select fixture.context('root') as root \gset
select fixture.talk('root', 'system 1, user 2, assistant 4, user 8, assistant 16');
select fixture.fork('root', 3, 'child') as child \gset
select results_eq(
  format(
    $$select name, tenant, parent_id, fork_version, depth, version, message_count, raw_tokens, view_tokens, tokenizer, open_calls, metadata,
      archived_at, deleted_at
    from kata.get_context(%L)$$, :'child'),
  format(
    $$values (
        'child', 'default', %L::uuid, 3::bigint, 1, 3::bigint, 3::bigint, 7::bigint, 7::bigint, 'o200k_base', '{}'::text[], '{}'::jsonb,
        null::timestamptz, null::timestamptz)$$,
    :'root'),
  'a fork begins at its fork version, with the totals of the parent there');
select is(pg_temp.told('child'), 'system 1, user 2, assistant 4', 'it has the messages up to the fork version');
select is(fixture.talk('child', 'user 32'), '{4}', 'its next message takes the next version');
select is(fixture.talk('root', 'user 64'), '{6}', 'so does its parent''s');
select is(pg_temp.told('child'), 'system 1, user 2, assistant 4, user 32', 'a fork does not see what its parent wrote after it');
select is(pg_temp.told('root'), 'system 1, user 2, assistant 4, user 8, assistant 16, user 64', 'nor the parent what the fork wrote');
select is((select segment_id from kata.get_message(:'child', 3)), :'root', 'an inherited message is the parent''s');
select is((select segment_id from kata.get_message(:'child', 4)), :'child', 'a new one is the fork''s');
select is(
  (select row(u.*)::text from kata.usage(:'child', a.at) u), (select row(u.*)::text from kata.usage(:'root', a.at) u),
  format('at version %s a fork holds what its parent held', a.at))
from generate_series(0, 3) a(at);
select is((fixture.stored(kata.fork(:'root'))).fork_version, 6::bigint, 'without a version a fork is made of now');
select is((fixture.stored(kata.fork(:'root', 6))).fork_version, 6::bigint, 'the newest version can be named');
select fixture.fork('root', 0, 'bare') as bare \gset
select is(
  (select row(version, message_count, raw_tokens, open_calls)::text from kata.get_context(:'bare')), '(0,0,0,{})', 'a fork at 0 is empty');
select is(fixture.talk('bare', 'user 3'), '{1}', 'and starts with version 1');
select throws_ok(format('select kata.fork(%L, %s)', :'root', v.at), 'KC002', null, v.what)
from (values (7, 'a version that does not exist yet cannot be forked at'), (-1, 'nor a negative one')) v(at, what);
select results_eq(
  format('select * from fixture.error(%L)', format('select kata.fork(%L, 7)', :'root')),
  format($$values ('KC002', 'version 7 not found', 'Context %s has versions 0 to 6.', 'Pass one of these, or null for now.')$$, :'root'),
  'it is said which versions there are');
select fixture.fork('root', 3, 'twin') as twin \gset
select fixture.talk('twin', 'user 33, user 34');
select is(pg_temp.told('twin'), 'system 1, user 2, assistant 4, user 33, user 34', 'a second fork of the same version goes its own way');
select is(pg_temp.told('child'), 'system 1, user 2, assistant 4, user 32', 'and the first does not see it');
create function pg_temp.forked_head(context text, at bigint) returns kata_data.head
language plpgsql
as $$
declare
  v_id uuid := kata.fork(fixture.id(context), at);
  v_head kata_data.head;
begin
  select h.* into v_head from kata_data.head h where h.context_id = v_id;
  return v_head;
end
$$;
select is((pg_temp.forked_head('root', p.at)).preamble_end, p.preamble_end, p.what)
from (
  values (0, null::bigint, 'the preamble of nothing is open'), (1, null, 'while no other role has spoken it goes on'),
  (2, 1, 'it ends where it ended in the parent'), (5, 1, 'and stays ended'))
  p(at, preamble_end, what);

-- Inside a batch, and what time it is there

set local kata.clock = '2030-01-01 00:00:00+00';
select fixture.context('batched') as batched \gset
select fixture.talk('batched', 'user 1, user 2, user 3');
select fixture.fork('batched', 2, 'half') as half \gset
select fixture.talk('half', 'user 4');
select is((select count(distinct created_at) from kata.messages(:'half')), 2::bigint, 'a fork may cut a batch in two');
select is((select created_at from kata.get_message(:'half', 3)), '2030-01-01 00:00:00.000001+00', 'what comes after is later all the same');
set local kata.clock = '';

-- Inside tool groups

select fixture.context('tools') as tools \gset
select fixture.talk(
  'tools',
  'user 1, assistant 2 calls a b c, tool 4 answers b, user 8, assistant 16 calls d, tool 32 answers a, tool 64 answers d, '
    'tool 128 answers c, user 256');
select is(
  (select array_agg(o.key order by o.key) from jsonb_each((pg_temp.forked_head('tools', f.at)).open_calls) o), f.open_calls::text[], f.what)
from (values
  (1, null, 'before the call nothing is open'), (2, '{a,b,c}', 'at the call all its siblings are open'),
  (3, '{a,c}', 'what was answered then is not'),
  (4, '{a,c}', 'a user in between changes nothing'), (5, '{a,c,d}', 'the calls of two groups may be open'),
  (6, '{c,d}', 'groups may interleave'),
  (7, '{c}', 'a group that was closed is gone'), (8, null, 'after the last result nothing is open'), (9, null, 'nor at the head')) f(at,
  open_calls, what);
select fixture.fork('tools', 5, 'inside') as inside \gset
select is((select open_calls from kata.get_context(:'inside')), '{a,c,d}', 'a fork inside a group says what is open');
select is(
  (select h.open_groups from kata_data.head h where h.context_id = :'inside'), '{"2": 6, "5": 16}', 'and knows the tokens of the groups');
select is(
  fixture.talk('inside', 'tool 1 answers d, tool 1 answers a'), '{6,7}',
  'calls can be answered in the fork, though the parent has answered them');
select throws_ok($$select fixture.talk('inside', 'tool 1 answers b')$$, 'KC005', null, 'a call that was answered before the fork cannot');
select throws_ok(
  $$select fixture.talk('inside', 'assistant 1 calls c')$$, 'KC004', null, 'a call id that is open in the fork is taken in it');
select is((select array_agg(c.version) from kata.close_calls(:'inside') c), '{8}', 'open calls can be closed in the fork');
select is((select content from kata.get_message(:'inside', 8)), 'cancelled', 'with a result of the fork''s own');
select is((select content from kata.get_message(:'tools', 8)), 'tool 128 answers c', 'which the parent does not see');
select is(
  (select array_agg(array[m.version, m.group_version] order by m.version) from kata.messages(:'inside') m),
  '{{1,1},{2,2},{3,2},{4,4},{5,5},{6,5},{7,2},{8,2}}', 'groups go on across the fork');
select fixture.context('strewn', '{"strict": false}') as strewn \gset
select fixture.talk('strewn', 'assistant 1 calls a, tool 2 answers unknown, tool 4 answers a');
select is((pg_temp.forked_head('strewn', 2)).open_calls, '{"a": 1}', 'an orphan answers nothing in a fork either');
select is((pg_temp.forked_head('strewn', 2)).open_groups, '{"1": 1}', 'and adds nothing to a group');
select fixture.context('reused') as reused \gset
select fixture.talk('reused', 'assistant 1 calls a b, tool 2 answers a, assistant 4 calls a, tool 8 answers b, tool 16 answers a');
select is((pg_temp.forked_head('reused', f.at)).open_calls, f.open_calls::jsonb, f.what)
from (
  values (2, '{"b": 1}', 'an id that was answered is free'), (3, '{"a": 3, "b": 1}', 'and open again for the next call'),
  (4, '{"a": 3}', 'of that call only')) f(at, open_calls, what);

-- Forks of forks

select fixture.context('deep 0', '{"max_fork_depth": 60}');
select fixture.talk('deep 0', 'user 0');
create procedure pg_temp.dig(levels integer)
language plpgsql
as $$
begin
  for v_level in 1 .. levels loop
    perform fixture.fork(format('deep %s', v_level - 1), v_level, format('deep %s', v_level));
    perform fixture.talk(format('deep %s', v_level), format('user %s', v_level));
    perform fixture.talk(format('deep %s', v_level - 1), 'user 999');
  end loop;
end
$$;
call pg_temp.dig(60);
select is(
  pg_temp.told('deep 60'), (select string_agg(format('user %s', i), ', ' order by i) from generate_series(0, 60) i),
  'a fork sixty deep has the messages of its path and no others');
select is(
  pg_temp.told('deep 60', 31), (select string_agg(format('user %s', i), ', ' order by i) from generate_series(0, 30) i),
  'at a version of the past, too');
select is(
  (select array_agg(w.version order by w.ordinal) from kata."window"(fixture.id('deep 60'), 170) w), '{60,61}', 'so has its window');
select is((select depth from kata.get_context(fixture.id('deep 60'))), 60, 'it knows how deep it is');
select throws_ok($$select fixture.fork('deep 60', 1, 'deeper')$$, 'KC008', null, 'deeper than the policy says a fork cannot be');
select results_eq(
  format('select * from fixture.error(%L)', format('select kata.fork(%L)', fixture.id('deep 60'))),
  format(
    $$values(
        'KC008', 'context %s cannot be forked: its forks would be too deep',
        'It is 60 forks away from its root, and max_fork_depth of its policy is 60.',
    'Fork one of its ancestors, which kata.ancestry lists, or raise max_fork_depth in its policy.')$$, fixture.id('deep 60')),
  'what would be too deep is said');
select is(kata.find_context('deeper'), null, 'what is refused is not made');
select fixture.context('shallow 0');
create procedure pg_temp.dig_shallow()
language plpgsql
as $$
begin
  for v_level in 1 .. 10 loop
    perform fixture.fork(format('shallow %s', v_level - 1), 0, format('shallow %s', v_level));
  end loop;
end
$$;
call pg_temp.dig_shallow();
select throws_ok($$select fixture.fork('shallow 10', 0, 'deeper')$$, 'KC008', null, 'a policy that says nothing allows ten');
select lives_ok($$select kata.fork(fixture.id('shallow 9'), policy => '{"max_fork_depth": 0}')$$, 'the parent''s policy counts');

-- What is inherited

select kata.create_context(
  'heir to', '{"budget": 5000, "threshold": 0.5, "strict": false, "notify": true}', '{"a": 1}', 'cl100k_base') as heir_to \gset
select kata.fork(:'heir_to', name => 'heir', policy => '{"threshold": 0.6, "strict": null, "max_fork_depth": 3}') as heir \gset
select is(
  (fixture.stored(:'heir')).policy, '{"budget": 5000, "threshold": 0.6, "notify": true, "max_fork_depth": 3}',
  'a fork''s policy is its parent''s with a patch, in which null resets a field');
select is(
  (fixture.stored(:'heir_to')).policy, '{"budget": 5000, "threshold": 0.5, "strict": false, "notify": true}', 'the parent''s stays');
select is(
  (select row(h.is_strict, h.notifies, h.tokenizer)::text from kata_data.head h where h.context_id = :'heir'), '(t,t,cl100k_base)',
  'the patched policy is in force, and the tokenizer is inherited');
select is((fixture.stored(:'heir')).metadata, '{}', 'metadata are not inherited');
select is((fixture.stored(kata.fork(:'heir_to', metadata => '{"b": 2}'))).metadata, '{"b": 2}', 'a fork may have its own');
select is((fixture.stored(kata.fork(:'heir_to'))).name, null, 'a name is not needed');
select throws_ok(format('select kata.fork(%L, %s)', :'heir_to', b.arguments), b.code, null, b.what)
from (values
  ($$name => ''$$, 'KC017', 'an empty name is refused'), ($$name => repeat('x', 256)$$, 'KC017', 'a long name is refused'),
  ($$name => 'heir'$$, 'KC007', 'a name that is taken is refused'),
  ($$policy => '{"budget": 0}'$$, 'KC013', 'a policy out of range is refused'),
  ($$policy => '[]'$$, 'KC013', 'a policy that is not an object is refused'),
  ($$metadata => '[]'$$, 'KC017', 'metadata that are not an object are refused')) b(arguments, code, what);
select fixture.talk('heir to', 'user 1');
select kata.put_token_counts(:'heir_to', 'o200k_base', '{1}', '{77}');
select fixture.fork('heir to', 1, 'counted') as counted \gset
select is((select token_count from kata."window"(:'counted', 1000, tokenizer => 'o200k_base')), 77, 'stored counts are the fork''s, too');

-- The fate of the parent

select fixture.context('mortal') as mortal \gset
select fixture.talk('mortal', 'user 1, user 2');
select fixture.fork('mortal', 1, 'survivor') as survivor \gset
select kata.archive_context(:'mortal');
select lives_ok(format('select kata.fork(%L, name => %L)', :'mortal', 'of an archived one'), 'an archived context can be forked');
select is(
  (select row(archived_at, version)::text from kata.get_context(kata.find_context('of an archived one'))), '(,2)',
  'its fork is not archived');
select kata.delete_context(:'mortal');
select throws_ok(format('select kata.fork(%L)', :'mortal'), 'KC006', null, 'a deleted context cannot be forked');
select is(pg_temp.told('survivor'), 'user 1', 'a fork of a deleted context reads on');
select is(fixture.talk('survivor', 'user 3'), '{2}', 'and writes on');
select is(pg_temp.told('survivor', 1), 'user 1', 'at any version');
select lives_ok(format('select kata.fork(%L)', :'survivor'), 'it can be forked itself');
select lives_ok($$select fixture.context('mortal')$$, 'the name of the deleted one is free');
select throws_ok(
  format('select kata.restore_context(%L)', :'mortal'), 'KC007', null, 'and when it is taken the deleted one is not restored');
select kata.delete_context(fixture.id('mortal'));
select kata.restore_context(:'mortal');
select is(
  (select array_agg(f.name order by f.name) from kata.forks(:'mortal') f), '{"of an archived one",survivor}',
  'a restored parent has its forks');

-- Retries

select kata.fork(:'root', 2, 'once', idempotency_key => 'k') as once \gset
select is(kata.fork(:'root', 2, 'once', idempotency_key => 'k'), :'once', 'the same request again gets the first fork');
select throws_ok(
  format($$select kata.fork(%L, 3, 'once', idempotency_key => 'k')$$, :'root'), 'KC019', null,
  'another version under the same key is refused');
select throws_ok(format($$select kata.fork(%L, 2, 'twice', idempotency_key => 'k')$$, :'root'), 'KC019', null, 'so is another name');
select throws_ok(
  format($$select kata.append_message(%L, 'user', 'x', idempotency_key => 'k')$$, :'root'), 'KC019', null, 'so is an append');
select isnt(kata.fork(:'child', 2, idempotency_key => 'k'), :'once', 'a key is one parent''s');
select kata.fork(:'root', idempotency_key => 'now') as now_fork \gset
select fixture.talk('root', 'user 128');
select is(kata.fork(:'root', idempotency_key => 'now'), :'now_fork', 'a fork of now is the same fork when it is asked for again');

-- Family

select fixture.context('family') as family \gset
select fixture.talk('family', 'user 1, user 2, user 4');
select fixture.fork('family', 2, 'late') as late \gset
select fixture.fork('family', 1, 'early') as early \gset
select fixture.fork('late', 2, 'late child') as late_child \gset
select fixture.fork('late child', 1, 'grandchild') as grandchild \gset
select fixture.fork('family', 2, 'later') as later \gset
select fixture.talk('late', 'user 8');
select kata.delete_context(:'late_child');
select kata.archive_context(:'early');
select results_eq(
  format(
    'select name, fork_version, depth, version, view_tokens, archived_at is not null, deleted_at is not null, '
      'purged_at is not null from kata.tree(%L)',
    t.id),
  $$values('family', null::bigint, 0, 3::bigint, 7::bigint, false, false, false), ('early', 1, 1, 1, 1, true, false, false),
    ('late', 2, 1, 3, 11, false, false, false),
    ('late child', 2, 2, 2, 3, false, true, false), ('grandchild', 1, 3, 1, 1, false, false, false),
    ('later', 2, 1, 2, 3, false, false, false)$$,
  t.what)
from (
  values (:'family', 'a tree has each parent before its forks'), (:'grandchild', 'it is the same from any member'),
  (:'late_child', 'from a deleted one, too')) t(id, what);
select is((select parent_id from kata.tree(:'family') where name = 'grandchild'), :'late_child', 'it says who is whose parent');
select is(
  (select t.updated_at from kata.tree(:'family') t where t.name = 'late'), (select updated_at from kata.get_context(:'late')),
  'and when something happened last');
select is((select count(*) from kata.tree(:'mortal')), 4::bigint, 'other families are not in it');
select results_eq(
  format('select name, fork_version, depth, deleted_at is not null, purged_at is not null from kata.ancestry(%L)', :'grandchild'),
  $$values ('late child', 2::bigint, 2, true, false), ('late', 2, 1, false, false), ('family', null, 0, false, false)$$,
  'ancestry goes from parent to parent, and says which are deleted');
select is_empty(format('select * from kata.ancestry(%L)', :'family'), 'a root has no ancestors');
select is((select count(*) from kata.ancestry(:'late_child')), 2::bigint, 'a deleted context has its ancestors');
select results_eq(
  format('select name, fork_version, version, deleted_at is not null from kata.forks(%L)', :'family'),
  $$values ('early', 1::bigint, 1::bigint, false), ('late', 2, 3, false), ('later', 2, 2, false)$$,
  'forks are the direct children, by fork version, then by age');
select is((select deleted_at is not null from kata.forks(:'late')), true, 'deleted forks are among them');
select throws_ok(format('select kata.forks(%L)', :'late_child'), 'KC006', null, 'the forks of a deleted context are not listed');
select is_empty(format('select * from kata.forks(%L)', :'grandchild'), 'who was not forked has none');

-- Where paths part

create function pg_temp.shared(a text, b text) returns text
language sql
as $$
  select format('%s of %s', s.version, (select c.name from kata_data.context c where c.context_id = s.segment_id))
  from kata.common_ancestor(fixture.id(a), fixture.id(b)) s
$$;
select is(pg_temp.shared(s.a, s.b), s.shared, s.what)
from (values
  ('root', 'child', '3 of root', 'a parent and its fork share what is before the fork'), ('child', 'root', '3 of root', 'in any order'),
  ('child', 'twin', '3 of root', 'two forks of one version share what is before it'),
  ('child', 'once', '2 of root', 'two forks share what is before the earlier one'),
  ('child', 'bare', '0 of ', 'a fork of nothing shares nothing'), ('root', 'family', '0 of ', 'two families share nothing'),
  ('child', 'child', '4 of child', 'a context shares all with itself'),
  ('grandchild', 'late', '1 of family', 'through a deleted parent'), ('deep 60', 'deep 30', '31 of deep 30', 'along sixty forks'),
  ('deep 60', 'deep 59', '60 of deep 59', 'to the newest fork'),
  ('later', 'late', '2 of family', 'a fork without entries of its own ends in its parent')) s(a, b, shared, what);
select throws_ok(format('select kata.common_ancestor(%L, %L)', :'late', :'late_child'), 'KC006', null, 'a deleted context is not compared');

create function pg_temp.parted(a text, b text) returns text
language sql
as $$
  select string_agg(format('%s%s %s', d.side, d.version, d.preview), ', ' order by d.ordinality)
  from kata.diff(fixture.id(a), fixture.id(b)) with ordinality d
$$;
select is(pg_temp.parted(d.a, d.b), d.parted, d.what)
from (values
  (
    'root', 'child', 'a4 user 8, a5 assistant 16, a6 user 64, a7 user 128, b4 user 32', 'a difference has what each wrote after they parted'
  ),
  ('child', 'twin', 'a4 user 32, b4 user 33, b5 user 34', 'forks of one version differ in what they wrote'),
  ('child', 'child', null, 'a context does not differ from itself'),
  ('child', 'once', 'a3 assistant 4, a4 user 32', 'what one inherited and the other did not is a difference'),
  ('bare', 'survivor', 'a1 user 3, b1 user 1, b2 user 3', 'contexts that share nothing differ in everything'),
  ('late', 'later', 'a3 user 8', 'one side may be empty')) d(a, b, parted, what);
select results_eq(
  format(
    'select side, version, role, kind, preview, token_count, created_at from kata.diff(%L, %L) where side = %L', :'root', :'child', 'b'),
  format($$select 'b', m.version, 'user', 'message', 'user 32', 32, m.created_at from kata.get_message(%L, 4) m$$, :'child'),
  'an entry of a difference is described');

-- Calls that were open

select fixture.context('loom', '{"strict": false}') as loom \gset
select fixture.talk(
  'loom',
  'user 1, assistant 2 calls lost, user 3, assistant 4 calls a b, assistant 5 calls c, tool 6 answers b, user 7, tool 8 answers unknown, '
    'tool 9 answers c, assistant 10 calls c, tool 11 answers a');
select fixture.fork('loom', 9, 'loom fork') as loom_fork \gset
select fixture.talk('loom fork', 'tool 12 answers a, assistant 13 calls a d, tool 14 answers d, user 15');
select is(
  array(
    select a.at
    from kata_data.head h
    cross join lateral generate_series(0, h.version) a(at)
    left join lateral kata_data.totals_at(h.context_id, a.at) t on true
    cross join lateral kata_data.open_calls_at(h.context_id, a.at, '{}', t.oldest_open_group) f
    cross join lateral kata_data.open_calls_before(h, a.at, '{}') b
    where h.context_id = fixture.id(n.name)
      and (f.open_calls, f.open_groups) is distinct from (b.open_calls, b.open_groups)),
  '{}', 'the open calls are the same, searched from the oldest open call on or from now back: ' || n.name)
from (values ('loom'), ('loom fork')) n(name);
select is(
  (select b.open_calls from kata_data.head h cross join lateral kata_data.open_calls_before(h, 5, '{}') b
    where h.context_id = :'loom_fork'),
  '{"lost": 2, "a": 4, "b": 4, "c": 5}', 'what is open still, and what was answered since');

select * from finish();
rollback;
