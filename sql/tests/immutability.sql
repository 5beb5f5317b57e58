-- History is immutable: only the eraser can change, remove or truncate the log, whatever is set.

begin;
select plan(42);

select fixture.context('stone') as stone \gset
select fixture.talk('stone', 'user 1, assistant 2');

create temporary table attempt (statement text, what text);
insert into attempt values
  (format('update kata_data.message set content = %L where segment_id = %L returning 1', 'rewritten', :'stone'), 'change a message'),
  (format('update kata_data.message set content = content where segment_id = %L returning 1', :'stone'), 'change a message to what it is'),
  (format('update kata_data.message set metadata = %L where segment_id = %L and version = 1 returning 1', '{}', :'stone'), 'add metadata'),
  (format('delete from kata_data.message where segment_id = %L returning 1', :'stone'), 'delete a message'),
  ('update kata_data.message set content = null where false returning 1', 'change nothing at all'),
  ('delete from kata_data.message where false returning 1', 'delete nothing at all'),
  ('truncate kata_data.message', 'empty the log'),
  ('truncate kata_data.message, kata_data.token_count cascade', 'empty the log beside others'),
  (
    format(
      $$insert into kata_data.message select m.*
        from kata_data.message m
        where m.segment_id = %L on conflict (segment_id, version) do update set content = 'x' returning 1$$,
      :'stone'),
    'overwrite a message'),
  (
    format($$with t as (delete from kata_data.message m where m.segment_id = %L returning 1) select count(*) from t$$, :'stone'),
    'delete in a subquery'),
  (
    format($$merge into kata_data.message m using (values (%L::uuid)) s(id) on m.segment_id = s.id when matched then delete$$, :'stone'),
    'delete by merge');

create function pg_temp.try_as(role text, statement text, replica boolean default false) returns void
language plpgsql
as $$
begin
  perform set_config('session_replication_role', case when replica then 'replica' else 'origin' end, true);
  perform set_config('role', role, true);
  execute statement;
  perform set_config('role', 'none', true);
  perform set_config('session_replication_role', 'origin', true);
end
$$;

select throws_ok(format('select pg_temp.try_as(%L, %L)', 'postgres', a.statement), 'KC015', null, 'a superuser cannot ' || a.what)
from attempt a;
select throws_ok(format('select pg_temp.try_as(%L, %L, true)', 'postgres', a.statement), 'KC015', null, 'nor as a replica ' || a.what)
from attempt a;
select throws_ok(
  format('select pg_temp.try_as(%L, %L)', 'kata_owner', a.statement), 'KC015', null, 'the owner of the table cannot ' || a.what)
from attempt a;
select results_eq(
  format('select * from fixture.error($q$delete from kata_data.message where segment_id = %L$q$)', :'stone'),
  $$values (
      'KC015', 'history is immutable: delete on kata_data.message refused', 'Role "postgres" is not the eraser.',
      'Go back with kata.rewind or kata.fork, hide with kata.delete_messages, redact with kata.erase_message.')$$,
  'the error says what to do instead');
select is((select string_agg(content, ', ' order by version) from kata.messages(:'stone')), 'user 1, assistant 2', 'nothing has changed');
select is(
  array(
    select t.tgname::text from pg_trigger t where t.tgrelid = 'kata_data.message'::regclass and not t.tgisinternal and t.tgenabled <> 'A'),
  '{}',
  'no trigger of the log is switched off by a setting');
select is_empty(
  $$select c.conname
    from pg_constraint c
    where c.contype = 'f' and c.confdeltype <> 'a' and c.connamespace in ('kata'::regnamespace, 'kata_data'::regnamespace)$$,
  'deleting nowhere cascades');

-- The eraser

grant truncate on kata_data.message to kata_eraser;
select lives_ok(
  format(
    'select pg_temp.try_as(%L, %L)', 'kata_eraser',
    format('update kata_data.message set content = %L where segment_id = %L', 'erased', :'stone')),
  'the eraser may blank a message');
select is((select content from kata.get_message(:'stone', 1)), 'erased', 'then it is blank');
select lives_ok(
  format('select pg_temp.try_as(%L, %L)', 'kata_eraser', format('delete from kata_data.message where segment_id = %L', :'stone')),
  'the eraser may remove messages');
select is((select count(*) from kata_data.message where segment_id = :'stone'), 0::bigint, 'then they are gone');
select lives_ok($$select pg_temp.try_as('kata_eraser', 'truncate kata_data.message')$$, 'the eraser is let through by every trigger');

grant delete on kata_data.act to kata_eraser;
select pg_temp.try_as('kata_eraser', format('delete from kata_data.act where context_id = %L', :'stone'));
delete from kata_data.lineage where context_id = :'stone';
delete from kata_data.head where context_id = :'stone';
delete from kata_data.context where context_id = :'stone';
revoke truncate on kata_data.message from kata_eraser;
revoke delete on kata_data.act from kata_eraser;

select * from finish();
rollback;
