-- Heads that were kept elsewhere show a log that was rewritten, cut or lost since, although all digests were recomputed.

begin;
select plan(32);

select fixture.context('first', '{"preserve_recent_count": 1, "min_gain_tokens": 0}') as first \gset
select fixture.talk('first', 'system 1, user 2, assistant 4, user 8, assistant 16, user 32');
select fixture.context('empty') as empty \gset
select fixture.fork('first', 4, 'branch') as branch \gset
select kata.checkpoint(:'branch', 'here');
select fixture.context('gone') as gone \gset
select fixture.talk('gone', 'user 1, user 2');
select kata.delete_context(:'gone');

create temporary table contexts as select :'first'::uuid as first, :'branch'::uuid as branch, :'gone'::uuid as gone;
create temporary table kept as select * from kata.heads();
create function pg_temp.check() returns text[]
language sql
as $$
  select array(
    select concat_ws(' at ', c.problem, c.version)
    from kata.check_heads((
      select jsonb_agg(to_jsonb(k) || jsonb_build_object(
        'digest', encode(k.digest, 'hex'), 'last_digest', encode(k.last_digest, 'hex'), 'act_digest', encode(k.act_digest, 'hex'))
        order by k.context_id)
      from kept k)) c)
$$;
create function pg_temp.after(statement text) returns text[]
language plpgsql
as $$
declare
  v_found text[];
begin
  begin
    perform set_config('session_replication_role', 'replica', true);
    alter table kata_data.message disable trigger all;
    alter table kata_data.act disable trigger all;
    execute (select format(statement, c.first, c.branch, c.gone) from contexts c);
    perform set_config('session_replication_role', 'origin', true);
    v_found := pg_temp.check();
    raise exception using errcode = 'KC999';
  exception
    when sqlstate 'KC999' then null;
  end;
  return v_found;
end
$$;

select is(
  (select array_agg(k.context_id order by k.context_id) from kept k),
  (select array_agg(i.id order by i.id) from unnest(array[:'first', :'empty', :'branch', :'gone']::uuid[]) i(id)),
  'every context has a head, a deleted one, too');
select is(
  (select array_agg(row(k.version, k.acts, k.requests)::text order by k.context_id)
   from kept k where k.context_id in (:'first', :'branch')),
  '{"(6,1,0)","(4,2,0)"}', 'it counts entries and acts');
select is(
  k.digest,
  sha256(E'\\x00'::bytea || uuid_send(k.context_id) || int8send(k.version) || k.last_digest || int8send(k.acts) || k.act_digest
    || int8send(k.requests)),
  'the digest is that of the rest of the row')
from kept k where k.context_id = :'first';
select is((select count(*) from kata.heads(max_rows => 2)), 2::bigint, 'heads come in pages');
select is((select array_agg(h.context_id) from kata.heads((select k.context_id from kept k order by 1 offset 2 limit 1)) h),
  (select array_agg(k.context_id) from (select k.context_id from kept k order by 1 offset 3) k), 'one after the other');
select throws_ok('select kata.heads(max_rows => 1001)', 'KC017', null, 'of at most a thousand');
select is(fixture.as_role('kata_service', 'select count(*) from kata.heads()', 'other'), '0', 'another tenant has none');
select is(pg_temp.check(), '{}', 'heads that were just made are sound');

select is(pg_temp.after(d.statement), d.problems::text[], d.what)
from (values
  ('update kata_data.message set digest = sha256(digest) where segment_id = %1$L and version = 6; '
    'update kata_data.head set last_digest = sha256(last_digest) where context_id = %1$L', '{log rewritten at 6}',
    'a last entry that was rewritten with its digest is found'),
  ('update kata_data.message set digest = sha256(digest) where segment_id = %1$L and version = 4', '{log rewritten at 4}',
    'an entry that a fork reads, too') ,
  ('update kata_data.head set version = 5 where context_id = %1$L', '{log cut at 6}', 'a tail that was cut is found'),
  ('delete from kata_data.context where context_id = %3$L', '{context gone at 2}', 'a context that is gone is found'),
  ('delete from kata_data.head where context_id = %3$L', '{log cut at 2,acts cut at 2}', 'one without a head'),
  ('delete from kata_data.act where context_id = %2$L and number = 2', '{acts cut at 4}', 'acts that were cut are found'),
  ('update kata_data.act set digest = sha256(digest) where context_id = %2$L and number = 2', '{acts rewritten at 4}',
    'acts that were rewritten are found'),
  ('update kept set version = 5 where context_id = %1$L', '{head changed at 5}', 'a row that was changed is found'),
  ('update kept set digest = sha256(digest) where context_id = %1$L', '{head changed at 6}', 'by its digest')
) d(statement, problems, what);

-- What may happen

select fixture.talk('first', 'assistant 64, user 128');
select fixture.talk('branch', 'user 64');
select kata.pin(:'first', 2), kata.set_policy(:'first', '{"budget": 5000}'), fixture.compact('first');
select fixture.fork('branch', 3, 'twig') as twig \gset
select is(pg_temp.check(), '{}', 'appends, view changes, acts and forks are sound');
select is(
  pg_temp.after('update kata_data.message set digest = sha256(digest) where segment_id = %1$L and version = 6'), '{log rewritten at 6}',
  'an entry that was rewritten is found, although the log has grown');
select is(
  pg_temp.after('update kata_data.act set digest = sha256(digest) where context_id = %1$L and number = 1'), '{acts rewritten at 6}',
  'so are acts');
select count(*) from kata.erase_message(:'first', 6, 'asked to');
select is(pg_temp.check(), '{}', 'nor is an erasure');
select kata.delete_context(:'first');
select is(pg_temp.check(), '{}', 'nor a deletion');
select kata.purge_context(:'gone');
select kata.purge_context(:'first');
select is(pg_temp.check(), '{}', 'nor a purge');
select is(
  pg_temp.after('update kata_data.act set digest = sha256(digest) where context_id = %1$L and number = 1'), '{acts rewritten at 6}',
  'acts of a purged context are still looked at');
select is(
  pg_temp.after('update kata_data.context set purged_at = null where context_id = %1$L'), '{log rewritten at 6}',
  'a log that is gone without a purge is found');

-- Arguments

select throws_ok(format('select kata.check_heads(%L)', a.heads), 'KC017', null, 'no heads: ' || coalesce(left(a.heads, 40), 'null'))
from (values
  (null), ('{}'), ('[1]'), ('[{}]'),
  ('[{"context_id": "x", "version": 1, "digest": "", "last_digest": "", "acts": 1, "act_digest": "", "requests": 0}]'),
  ((select jsonb_agg('{}'::jsonb)::text from generate_series(1, 1001)))) a(heads);
select is((select count(*) from kata.check_heads('[]')), 0::bigint, 'no head has no problem');

select * from finish();
rollback;
