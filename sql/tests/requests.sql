-- Requests: the recipe of every body, and the same bytes from it again.

begin;
select plan(19);

select fixture.context('asked') as asked \gset
select fixture.talk('asked', 'system 10, user 5, assistant 5');

-- A recipe is immutable; answer and usage are set once

insert into kata_data.request (
  context_id, request_id, at, created_at, start_version, profile_id, budget, stable_step, token_count, message_count, long_ttl, open_end,
  body_digest, salt)
values (:'asked', 1000, 3, now(), 0, 1, 100, 0, 20, 3, false, false, '\x01', '\x02');

create temporary table change (assignment text, state text, what text);
insert into change values
  ('answer_version = 3', null, 'the answer is set'),
  ('answer_version = 2', 'KC015', 'the answer is not set again'),
  ('answer_version = null', 'KC015', 'nor removed'),
  ('input_tokens = 7, cached_tokens = 5, written_tokens = 0, output_tokens = 2, duration = 30', null, 'usage is set'),
  ('input_tokens = 8', 'KC015', 'usage is not set again'),
  ('error = ''overloaded''', null, 'an error is set'),
  ('error = ''timeout''', 'KC015', 'an error is not set again'),
  ('error = error', 'KC015', 'a change to what it is is refused'),
  ('salt = null', 'KC015', 'the salt is the eraser''s'),
  ('at = 2', 'KC015', 'the recipe does not change'),
  ('shown = ''{[1,3)}''', 'KC015', 'not even where it was null');
create temporary table outcome as
select c.what, c.state, e.code as found
from change c
left join lateral fixture.error(format('update kata_data.request set %s where context_id = %L', c.assignment, :'asked')) e on true;
select is(o.found, o.state, o.what) from outcome o;
select is(
  (select row(r.answer_version, r.input_tokens, r.output_tokens, r.error)::text from kata_data.request r where r.context_id = :'asked'),
  '(3,7,2,overloaded)', 'the first values stay');
select throws_ok('delete from kata_data.request', 'KC015', null, 'no request is deleted');
select throws_ok('truncate kata_data.request', 'KC015', null, 'nor are all');
select throws_ok('update kata_data.' || t.name || ' set created_at = now()', 'KC015', null, t.name || ' is immutable')
from unnest('{tool_list,request_profile}'::text[]) t(name);
select throws_ok('delete from kata_data.' || t.name, 'KC015', null, 'and no row of ' || t.name || ' is deleted')
from unnest('{tool_list,request_profile}'::text[]) t(name);
select is(
  array(
    select t.tgname::text
    from pg_trigger t
    where t.tgrelid in ('kata_data.request'::regclass, 'kata_data.request_profile'::regclass, 'kata_data.tool_list'::regclass)
      and not t.tgisinternal
      and t.tgenabled <> 'A'),
  '{}', 'no setting switches these triggers off');

-- The row is not a whole request, which verify would report.
set local role kata_eraser;
delete from kata_data.request r where r.context_id = :'asked';
reset role;

select * from finish();
rollback;
