-- Versions can be given names, which forks inherit up to where they were forked.

begin;
select plan(58);

create function pg_temp.resolved(context text, selector text) returns text
language plpgsql
as $$
begin
  return kata.resolve_version(fixture.id(context), selector);
exception
  when others then return sqlstate;
end
$$;
create function pg_temp.names(context text) returns text
language sql
as $$
  select string_agg(format('%s %s', k.version, k.name), ', ' order by k.ordinality)
  from kata.checkpoints(fixture.id(context)) with ordinality k
$$;

select fixture.context('root') as root \gset
select fixture.talk('root', 'user 1, user 2, user 4, user 8');
select is(kata.checkpoint(:'root', 'draft'), 4::bigint, 'a checkpoint is made of now');
select is(kata.checkpoint(:'root', 'plan', 2, 'before the code'), 2::bigint, 'or of a version');
select is(kata.checkpoint(:'root', 'nothing', 0), 0::bigint, 'of nothing, too');
select fixture.talk('root', 'user 16');
select is(pg_temp.resolved('root', r.name), r.version, r.what)
from (
  values ('draft', '4', 'it stays where it was made'), ('plan', '2', 'a name means its version'), ('nothing', '0', 'also 0'),
  ('Plan', 'KC014', 'names differ by case'), ('final', 'KC014', 'a name that was not given is unknown')) r(name, version, what);
select results_eq(format('select name, version, note, created_at is not null from kata.checkpoints(%L)', :'root'),
  $$values ('nothing', 0::bigint, null::text, true), ('plan', 2, 'before the code', true), ('draft', 4, null, true)$$,
  'they are listed by version');
select is((select h.checkpoints from kata.history(:'root', 3, 1) h), '{plan}', 'history shows them');
select kata.checkpoint(:'root', 'plan b', 2);
select is((select h.checkpoints from kata.history(:'root', 3, 1) h), '{plan,"plan b"}', 'a version may have several');
select throws_ok(format('select kata.checkpoint(%L, %s)', :'root', b.arguments), b.code, null, b.what)
from (values
  ($$'plan'$$, 'KC014', 'a name is given once'), ($$'plan', 2$$, 'KC014', 'also to the same version'),
  ($$'late', 6$$, 'KC002', 'a version that does not exist yet gets no name'), ($$'early', -1$$, 'KC002', 'nor a negative one'),
  ($$''$$, 'KC017', 'a name is not empty'), ('null', 'KC017', 'nor null'),
  ($$repeat('x', 256)$$, 'KC017', 'nor longer than 255 characters'),
  ($$'42'$$, 'KC017', 'a name is not a number'), ($$'head'$$, 'KC017', 'nor head'), ($$'HEAD~3'$$, 'KC017', 'nor before it'),
  ($$'head~x'$$, 'KC017', 'nor what looks so'), ($$'2026-01-31'$$, 'KC017', 'nor a day'),
  ($$'2026-02-31'$$, 'KC017', 'nor what looks like one'), ($$'2026-01-31T12:00Z'$$, 'KC017', 'nor a time'),
  ($$'20260131T120000Z'$$, 'KC017', 'in no form')) b(arguments, code, what);
select lives_ok(format('select kata.checkpoint(%L, %L)', :'root', n.name), format('a name may be "%s"', n.name))
from (values ('heads'), ('v42'), ('2026-01-31 before lunch'), ('today'), ('-1')) n(name);
select results_eq(
  format('select * from fixture.error(%L)', format('select kata.checkpoint(%L, %L)', :'root', n.name)),
  format('values (%L, %L, %L, %L)', n.code, n.message, n.detail, n.hint), n.what)
from (values
  (
    'plan', 'KC014', 'checkpoint "plan" exists', format('It names version 2 of context %s.', :'root'),
    'Choose another name, or drop that one with kata.drop_checkpoint.', 'the error has the version of the name'),
  (
    '42', 'KC017', 'checkpoint name "42" could be taken for a version or a time',
    'kata.resolve_version reads numbers, head, head~3 and ISO 8601 timestamps as such.',
    'Choose a name with a word in it, for example "before refactoring".', 'so is why one is refused'))
  n(name, code, message, detail, hint, what);
select kata.drop_checkpoint(:'root', k.name) from kata.checkpoints(:'root') k where k.name not in ('nothing', 'plan', 'draft');

-- Dropping

select kata.checkpoint(:'root', 'short-lived', 3);
select lives_ok(format('select kata.drop_checkpoint(%L, %L)', :'root', 'short-lived'), 'a checkpoint can be dropped');
select is(pg_temp.resolved('root', 'short-lived'), 'KC014', 'then its name is unknown');
select is((select content from kata.get_message(:'root', 3)), 'user 4', 'its version stays');
select is(kata.checkpoint(:'root', 'short-lived', 1), 1::bigint, 'and the name can be given anew');
select kata.drop_checkpoint(:'root', 'short-lived');
select throws_ok(format('select kata.drop_checkpoint(%L, %L)', :'root', n.name), 'KC014', null, n.what)
from (values ('short-lived', 'a dropped checkpoint is not dropped again'), (null, 'null is not a name')) n(name, what);

-- Forks

select fixture.fork('root', 3, 'child') as child \gset
select is(pg_temp.names('child'), '0 nothing, 2 plan', 'a fork sees its parent''s checkpoints up to the fork');
select is(pg_temp.resolved('child', 'plan'), '2', 'and resolves them');
select is(pg_temp.resolved('child', 'draft'), 'KC014', 'those after it are unknown');
select is((select h.checkpoints from kata.history(:'child', 3, 1) h), '{plan}', 'its history shows them');
select kata.checkpoint(:'root', 'afterthought', 1);
select is(pg_temp.resolved('child', 'afterthought'), '1', 'a checkpoint that the parent makes later in what they share is seen');
select fixture.talk('child', 'user 32, user 64');
select kata.checkpoint(:'child', 'plan', 5);
select is(pg_temp.names('child'), '0 nothing, 1 afterthought, 5 plan', 'a name of the fork''s own hides the parent''s');
select is(pg_temp.resolved('child', 'plan'), '5', 'and is what it means');
select is((select h.checkpoints from kata.history(:'child', 3, 1) h), '{}', 'the hidden one is not in its history');
select is(pg_temp.resolved('root', 'plan'), '2', 'the parent''s stays');
select kata.checkpoint(:'child', 'shared', 2);
select fixture.fork('child', 4, 'grandchild') as grandchild \gset
select is(
  pg_temp.names('grandchild'), '0 nothing, 1 afterthought, 2 plan, 2 shared', 'a name that is hidden after the fork hides nothing in it');
select fixture.fork('child', 2, 'sideways') as sideways \gset
select is(
  pg_temp.names('sideways'), '0 nothing, 1 afterthought, 2 plan, 2 shared',
  'a parent''s checkpoints of what it inherited itself are seen, too');
select fixture.fork('sideways', 1, 'narrow') as narrow \gset
select is(pg_temp.names('narrow'), '0 nothing, 1 afterthought', 'but only up to the least fork version on the way');
select kata.delete_context(:'child');
select is(pg_temp.names('grandchild'), '0 nothing, 1 afterthought, 2 plan, 2 shared', 'those of a deleted ancestor are seen all the same');
select kata.restore_context(:'child');
select throws_ok(
  format('select kata.drop_checkpoint(%L, %L)', :'grandchild', 'plan'), 'KC014', null, 'an ancestor''s checkpoint is not a fork''s to drop'
);
select results_eq(
  format('select * from fixture.error(%L)', format('select kata.drop_checkpoint(%L, %L)', :'grandchild', 'plan')),
  format(
    $$values (
        'KC014', 'checkpoint "plan" is unknown', 'It belongs to %s, an ancestor of context %s.',
        'List the names with kata.checkpoints; drop an ancestor''s there, or hide it by one of the same name.')$$,
    :'root', :'grandchild'),
  'whose it is is said');
select kata.drop_checkpoint(:'child', 'plan');
select is(pg_temp.resolved('child', 'plan'), '2', 'when the name of its own is dropped the parent''s is seen again');
select fixture.context('stranger') as stranger \gset
select is(pg_temp.names('stranger'), null, 'a stranger sees none');
select kata.archive_context(:'stranger');
select throws_ok(format('select kata.checkpoint(%L, %L)', :'stranger', 'x'), 'KC006', null, 'an archived context gets no checkpoints');
select throws_ok(format('select kata.drop_checkpoint(%L, %L)', :'stranger', 'x'), 'KC006', null, 'and keeps those that it has');

select * from finish();
rollback;
