-- A window is what the model should see within a budget: the promises always, then whole groups, newest first, until one does not fit.

begin;
select plan(204);

create function pg_temp.reasons(context text, budget integer, at bigint default null) returns text
language sql
as $$
  select string_agg(w.version || ' ' || w.reason, ', ' order by w.ordinal) from kata."window"(fixture.id(context), budget, at) w
$$;
create function pg_temp.over(context text, budget integer) returns boolean[]
language sql
as $$
  select array_agg(distinct w.over_budget) from kata."window"(fixture.id(context), budget) w
$$;

-- Budgets

select fixture.context('plain') as plain \gset
select fixture.talk('plain', 'system 10, user 20, assistant 30, user 40');
select is(fixture.view('plain', 100), '{1,2,3,4}', 'a budget of exactly the sum holds everything');
select is(fixture.view('plain', 1000), '{1,2,3,4}', 'a budget above the sum holds everything');
select is(fixture.view('plain', 2147483647), '{1,2,3,4}', 'the greatest budget holds everything');
select is(fixture.view('plain', 99), '{1,3,4}', 'one token less leaves the oldest out, but not the preamble');
select is(fixture.view('plain', 80), '{1,3,4}', 'a budget of exactly what is shown is enough');
select is(fixture.view('plain', 79), '{1,4}', 'one token less than the next group leaves it out');
select is(fixture.view('plain', 50), '{1,4}', 'a budget of exactly the promises holds the promises');
select is(pg_temp.over('plain', 50), '{f}', 'promises that just fit are not over budget');
select is(fixture.view('plain', 49), '{1,4}', 'the promises come even over budget');
select is(pg_temp.over('plain', 49), '{t}', 'promises over budget say so, every row');
select is(fixture.view('plain', 1), '{1,4}', 'the least budget shows the promises');
select is(pg_temp.over('plain', 100), '{f}', 'what fits is not over budget');
select results_eq(
  format(
    'select ordinal, version, "position", role, content, token_count, running_tokens, reason, over_budget, kind, '
      'group_version from kata."window"(%L, 80)',
    :'plain'),
  $$values (1, 1::bigint, 1::bigint, 'system', 'system 10', 10, 10::bigint, 'preamble', false, 'message', 1::bigint),
    (2, 3, 3, 'assistant', 'assistant 30', 30, 40, 'recent', false, 'message', 3),
    (3, 4, 4, 'user', 'user 40', 40, 80, 'newest', false, 'message', 4)$$,
  'rows come in reading order, numbered, with their running total and their reason');
select results_eq(
  format(
    'select w.version, w.role, w.content, w.tool_call_id, w.tool_name, w.tool_calls, w.model, w.metadata, w.created_at, w.name, w.parts, '
      'w.provider, w.group_version from kata."window"(%L, 100) w',
    :'plain'),
  format(
    'select m.version, m.role, m.content, m.tool_call_id, m.tool_name, m.tool_calls, m.model, m.metadata, m.created_at, m.name, m.parts, '
      'm.provider, m.group_version from kata.messages(%L) m',
    :'plain'),
  'a row of a window is the message as it is listed');
select is(
  (select string_agg(w::text, E'\n') from kata."window"(:'plain', 80) w),
  (select string_agg(w::text, E'\n') from kata."window"(:'plain', 80) w), 'the same question has the same answer');
select throws_ok(format('select kata."window"(%L, %s)', :'plain', b.budget), 'KC017', null, 'this is not a budget: ' || b.budget)
from (values ('0'), ('-1')) b(budget);
select throws_ok(format('select kata."window"(%L, %L)', :'plain', 'abc'), '22P02', null, 'a budget is a number');
select results_eq(
  format('select * from fixture.error($q$select kata."window"(%L, 0)$q$)', :'plain'),
  $$values (
      'KC017', 'budget must be a positive number of tokens', 'It is 0.', 'Pass how many tokens the messages may take, for example 8000.')$$,
  'a budget of nothing is refused with advice');
select throws_ok($$select kata."window"('00000000-0000-7000-8000-000000000000', 10)$$, 'KC001', null, 'an unknown context has no window');

select fixture.context('empty') as empty \gset
select is_empty(format('select kata."window"(%L, 100)', :'empty'), 'an empty context has an empty window');
select throws_ok(format('select kata."window"(%L, 0)', :'empty'), 'KC017', null, 'an empty context needs a budget all the same');
select throws_ok(
  format($$select kata."window"(%L, 100, tokenizer => 'abacus')$$, :'empty'), 'KC017', null,
  'an empty context needs a known tokenizer all the same');

select fixture.context('alone') as alone \gset
select fixture.talk('alone', 'user 100');
select is(pg_temp.reasons('alone', 100), '1 newest', 'a message alone is the newest');
select is(pg_temp.over('alone', 99), '{t}', 'a message alone comes over budget');

select fixture.context('stop') as stop \gset
select fixture.talk('stop', 'user 1, user 50, user 1, user 1');
select is(fixture.view('stop', 10), '{3,4}', 'nothing older comes after the first group that does not fit');
select fixture.context('free') as free \gset
select fixture.talk('free', 'user 5, user 0, user 0, user 5');
select is(fixture.view('free', 5), '{2,3,4}', 'messages of no tokens always fit');

-- Groups

select fixture.context('tools') as tools \gset
select fixture.talk('tools', 'user 5, assistant 10 calls a, user 7, tool 20 answers a, user 3');
select is(fixture.view('tools', 45), '{1,2,3,4,5}', 'everything fits, groups or not');
select is(fixture.view('tools', 44), '{2,3,4,5}', 'the oldest group goes first');
select is(fixture.view('tools', 40), '{2,3,4,5}', 'a message between a call and its result is a group of its own');
select is(fixture.view('tools', 39), '{2,4,5}', 'a group is kept whole while messages between its parts go');
select is(fixture.view('tools', 33), '{2,4,5}', 'a budget of exactly the group holds it');
select is(fixture.view('tools', 32), '{5}', 'a group that does not fit goes whole, and all before its newest message');
select is(fixture.view('tools', 40, 4), '{2,3,4}', 'as of its result a group is the newest');
select is(pg_temp.reasons('tools', 37, 4), '2 newest, 3 request, 4 newest', 'the newest group is an assistant''s message with its results');
select is(fixture.view('tools', 29, 4), '{2,4}', 'the newest group comes whole over budget');
select is(fixture.view('tools', 17, 3), '{2,3}', 'a call that is not answered yet is a group without result');

select fixture.context('batch') as batch \gset
select fixture.talk('batch', 'assistant 1, assistant 10 calls a b c, tool 20 answers b, tool 30 answers a, tool 40 answers c, assistant 5');
select is(fixture.view('batch', 106), '{1,2,3,4,5,6}', 'parallel calls come with all their results');
select is(fixture.view('batch', 105), '{2,3,4,5,6}', 'parallel calls with results are one unit');
select is(fixture.view('batch', 104), '{6}', 'parallel calls are not cut apart');
select is(fixture.view('batch', 31, 3), '{1,2,3}', 'parallel calls that are half answered come with what there is');
select is(fixture.view('batch', 30, 3), '{2,3}', 'half answered calls are the newest group');
select is(fixture.view('batch', 29, 3), '{2,3}', 'half answered calls come over budget');

select fixture.context('woven') as woven \gset
select fixture.talk(
  'woven',
  'system 1, user 2, assistant 4 calls a b, assistant 8 calls c, tool 16 answers c, user 32, tool 64 answers a, assistant 128 calls d, '
    'tool 256 answers b, tool 512 answers d, user 1024');
select is(fixture.view('woven', 2047), '{1,2,3,4,5,6,7,8,9,10,11}', 'woven groups all fit');
select is(fixture.view('woven', 2045), '{1,3,4,5,6,7,8,9,10,11}', 'of woven groups the one with the oldest end goes first');
select is(fixture.view('woven', 2021), '{1,3,6,7,8,9,10,11}', 'then the next, though another began earlier');
select is(fixture.view('woven', 1989), '{1,3,7,8,9,10,11}', 'a group reaches back over what is left out');
select is(fixture.view('woven', 1665), '{1,8,10,11}', 'the group with the newest end stays longest');
select is(fixture.view('woven', 1664), '{1,11}', 'in the end only promises stay');
create function pg_temp.broken_windows(context text) returns text
language sql
as $$
  select string_agg(format('budget %s at %s', b.budget, a.at), ', ')
  from generate_series(1, (select g.version from kata.get_context(fixture.id(context)) g)) a(at)
  cross join generate_series(1, 2100, 13) b(budget)
  cross join lateral (
    select sum(w.token_count) as tokens, bool_or(w.over_budget) as over, bool_or(w.reason = 'recent') as rest,
    array_agg(w.version) as versions, max(w.running_tokens) as running
    from kata."window"(fixture.id(context), b.budget, a.at) w
  ) w
  where (w.tokens > b.budget) <> w.over
    or w.over and w.rest
    or w.tokens <> w.running
    or exists (
      select from kata.messages(fixture.id(context), at => a.at) m
      where (m.version = any (w.versions)) <> (m.group_version = any (w.versions)))
$$;
select is(
  pg_temp.broken_windows('woven'), null,
  'at no budget and no version does a window split a group, lie about its sum or show more than promises over budget');

-- Preamble

select fixture.context('rules') as rules \gset
select fixture.talk('rules', 'system 10, developer 20, user 5, system 7, developer 3, assistant 1');
select is(
  pg_temp.reasons('rules', 46), '1 preamble, 2 preamble, 3 request, 4 recent, 5 recent, 6 newest',
  'system and developer messages before any other role are the preamble, later ones are ordinary');
select is(fixture.view('rules', 31), '{1,2,6}', 'the preamble stays, a later system message goes');
select is(pg_temp.reasons('rules', 30), '1 preamble, 2 preamble, 6 newest', 'the preamble comes over budget');
select is(pg_temp.reasons('rules', 100, 2), '1 preamble, 2 preamble', 'the newest message of the preamble is preamble');
select is(pg_temp.reasons('rules', 100, 1), '1 preamble', 'as of an earlier version the preamble is that of the version');
select fixture.context('only rules');
select fixture.talk('only rules', 'system 10, system 10');
select is(pg_temp.reasons('only rules', 5), '1 preamble, 2 preamble', 'a context of nothing but rules is all preamble');
select is(pg_temp.over('only rules', 19), '{t}', 'a preamble alone may be over budget');
select fixture.context('no rules');
select fixture.talk('no rules', 'user 10, system 10, user 10');
select is(pg_temp.reasons('no rules', 20), '2 recent, 3 newest', 'a system message after a user is not preamble');

-- Pins

select fixture.context('pins') as pins \gset
select fixture.talk('pins', 'system 1, user 2 pinned, assistant 4, assistant 8 calls a, tool 16 answers a pinned, user 32, user 64');
select is(
  pg_temp.reasons('pins', 1000), '1 preamble, 2 pinned, 3 recent, 4 pinned, 5 pinned, 6 recent, 7 newest', 'a pin holds its whole group');
select is(fixture.view('pins', 123), '{1,2,4,5,6,7}', 'what is promised and what fits');
select is(fixture.view('pins', 91), '{1,2,4,5,7}', 'pins come when nothing else fits');
select is(pg_temp.over('pins', 91), '{f}', 'pins that just fit are not over budget');
select is(fixture.view('pins', 90), '{1,2,4,5,7}', 'pins come over budget');
select is(pg_temp.over('pins', 90), '{t}', 'pins over budget say so');
select is(fixture.view('pins', 127), '{1,2,3,4,5,6,7}', 'pins are not paid twice');
select is(fixture.view('pins', 4, 3), '{1,2,3}', 'a pin that comes later is not in force yet');
select is(
  pg_temp.reasons('pins', 100, 4), '1 preamble, 2 pinned, 3 recent, 4 newest', 'a call is pinned from when its pinned result is there');
select is(pg_temp.reasons('pins', 100, 2), '1 preamble, 2 pinned', 'a newest message that is pinned counts as pinned');
select fixture.context('pinned rule');
select fixture.talk('pinned rule', 'system 1 pinned, user 1');
select is(pg_temp.reasons('pinned rule', 10), '1 preamble, 2 newest', 'a pinned message of the preamble counts as preamble');
select fixture.context('pinned pending');
select fixture.talk('pinned pending', 'user 1, assistant 5 calls a b pinned, user 1, user 1');
select is(fixture.view('pinned pending', 6), '{2,4}', 'a pinned call may be open');
select fixture.talk('pinned pending', 'tool 9 answers b, user 1');
select is(fixture.view('pinned pending', 15), '{2,5,6}', 'a result comes into the pinned group of its call');

-- The last request

select fixture.context('request', '{"min_gain_tokens": 0, "preserve_recent_count": 1}') as request \gset
select fixture.talk(
  'request', 'system 10, user 5, assistant 20, user 7, assistant 30 calls a, tool 40 answers a, assistant 30 calls b, tool 40 answers b');
select is(
  pg_temp.reasons('request', 157), '1 preamble, 4 request, 5 recent, 6 recent, 7 newest, 8 newest', 'it says so in the rest, too');
select is(
  pg_temp.reasons('request', 156), '1 preamble, 4 request, 7 newest, 8 newest', 'the last request comes where the rest does not reach it');
select is(pg_temp.reasons('request', 87), '1 preamble, 4 request, 7 newest, 8 newest', 'a budget of exactly these holds the request');
select is(pg_temp.reasons('request', 86), '1 preamble, 7 newest, 8 newest', 'a request that does not fit is left out');
select is(pg_temp.over('request', 80), '{f}', 'without being over budget');
select results_eq(
  format('select ordinal, version, running_tokens from kata."window"(%L, 100)', :'request'),
  'values (1, 1::bigint, 10::bigint), (2, 4, 17), (3, 7, 47), (4, 8, 87)', 'a request below the rest is numbered and adds up');
select is(
  (select array_agg(w.running_tokens order by w.ordinal) from kata."window"(:'request', 188, tokenizer => 'cl100k_base') w),
  '{12,21,57,105}', 'so it does in another tokenizer');
select is(pg_temp.reasons('request', 80, 6), '1 preamble, 5 newest, 6 newest', 'as of a version the request counts as the rest does');
select is(fixture.view('request', 156, null, 40), '{1,4,7,8}', 'a stable step keeps the request');
select is(kata.pin(:'request', 4), 9::bigint, 'a request is pinned');
select is(pg_temp.reasons('request', 87), '1 preamble, 4 pinned, 7 newest, 8 newest', 'a pinned request counts as pinned');
select is(kata.delete_messages(:'request', 4), 10::bigint, 'a request is deleted');
select is(
  pg_temp.reasons('request', 85), '1 preamble, 2 request, 7 newest, 8 newest', 'a request that is not visible yields to the one before it');
select is(kata.delete_messages(:'request', 2), 11::bigint, 'every request is deleted');
select is(pg_temp.reasons('request', 149), '1 preamble, 7 newest, 8 newest', 'where no request is visible none comes');
select is(pg_temp.broken_windows('request'), null, 'at no budget and no version does a request lie about its sum');
select is(kata.undo(:'request', 11), 12::bigint, 'a request comes back');
select is(fixture.compact('request', 'so far', 5), 13::bigint, 'what is not the last request is compacted');
select is(fixture.seen('request'), '1 2 13= 7 8', 'the last request stays in the view');
select is(pg_temp.reasons('request', 90), '1 preamble, 2 request, 13 summary, 7 newest, 8 newest', 'a request reads before a summary');
select is(pg_temp.reasons('request', 89), '1 preamble, 2 request, 7 newest, 8 newest', 'and comes before it');

-- What a summary covers that does not fit

select fixture.context('covered', '{"min_gain_tokens": 0, "preserve_recent_count": 1}') as covered \gset
select fixture.talk('covered', 'system 10, user 300, assistant 30 calls a, tool 400 answers a, user 40, assistant 50, user 1, assistant 1');
select is(kata.delete_messages(:'covered', 7, 8), 9::bigint, 'some of it is deleted');
select is(kata.elide(:'covered', 4), 10::bigint, 'a result is shortened');
select is(fixture.compact('covered', 'so far', 200), 11::bigint, 'and compacted');
select is(pg_temp.reasons('covered', 300), '1 preamble, 11 summary, 5 request, 6 newest', 'a summary that fits is what comes');
select is(
  pg_temp.reasons('covered', 299), '1 preamble, 3 covered, 4 covered, 5 request, 6 newest',
  'of a summary that does not fit what it covers comes');
select is((select w.kind from kata."window"(:'covered', 299) w where w.version = 4), 'stub', 'an elided result as its stub');
select is(fixture.view('covered', 158), '{1,5,6}', 'in whole groups');
select is(
  (select max(w.running_tokens) = sum(w.token_count) and max(w.ordinal) = 5 from kata."window"(:'covered', 299) w), true, 'it adds up');
select is(fixture.view('covered', 159), '{1,3,4,5,6}', 'it keeps the budget');
select is(fixture.view('covered', 250, null, 20), '{1,3,4,5,6}', 'with a stable step, too');
select is(pg_temp.broken_windows('covered'), null, 'at no budget and no version does such a window split a group or lie about its sum');
select is(kata.pin(:'covered', 4), 12::bigint, 'a covered group comes back by a pin');
select is(pg_temp.reasons('covered', 358), '1 preamble, 3 pinned, 4 pinned, 5 request, 6 newest', 'it is not covered any more');
select is(kata.pin(:'covered', 2), 13::bigint, 'all that it covers is pinned');
select is(fixture.seen('covered'), '1 2* 3* 4~* 5 6', 'a summary that covers nothing leaves');
select is(fixture.seen('covered', 12), '1 11= 3* 4~* 5 6', 'as long as it covers a message it stays');
select is(kata.undo(:'covered', 13), 14::bigint, 'the pin is undone');
select is(fixture.seen('covered'), '1 11= 3* 4~* 5 6', 'and the summary comes back');

-- Past versions

select is(fixture.view('plain', 60, 3), '{1,2,3}', 'as of a version later messages are not there');
select is(fixture.view('plain', 59, 3), '{1,3}', 'as of a version the budget cuts as it did then');
select is_empty(format('select kata."window"(%L, 100, 0)', :'plain'), 'as of version 0 the window is empty');
select is(fixture.view('plain', 100, 4), fixture.view('plain', 100), 'as of the head the window is that of now');
select throws_ok(format('select kata."window"(%L, 100, %s)', :'plain', a.at), 'KC002', null, 'there is no window as of version ' || a.at)
from (values (5), (-1)) a(at);
create temporary table before_append as
  select a.at, b.budget, s.step, fixture.view('woven', b.budget, a.at, s.step) as versions
  from generate_series(0, 11) a(at), generate_series(50, 2050, 100) b(budget), (values (0), (40)) s(step);
select fixture.talk('woven', 'user 5 pinned, assistant 1, system 3');
select is_empty(
  $$select from before_append b where fixture.view('woven', b.budget, b.at, b.step) is distinct from b.versions$$,
  'what is appended later changes no window as of a version');

-- Stable starts

select fixture.context('stable') as stable \gset
select fixture.talk('stable', (select string_agg('user 10', ', ') from generate_series(1, 12)));
select is(fixture.view('stable', 50, a.at, 20), a.versions::bigint[], format('with a step of 20 the start stands still: version %s', a.at))
from (
  values (4, '{1,2,3,4}'), (5, '{1,2,3,4,5}'), (6, '{3,4,5,6}'), (7, '{3,4,5,6,7}'), (8, '{5,6,7,8}'), (9, '{5,6,7,8,9}'),
  (10, '{7,8,9,10}'), (11, '{7,8,9,10,11}')) a(at, versions);
select is(fixture.view('stable', 50, 10), '{6,7,8,9,10}', 'without a step the window is as long as it can be');
select is(fixture.view('stable', 50, 10, 0), '{6,7,8,9,10}', 'a step of 0 is none');
select is(fixture.view('stable', 120, null, 20), '{1,2,3,4,5,6,7,8,9,10,11,12}', 'where everything fits the step has no effect');
select lives_ok($$select fixture.view('stable', 50, null, 49)$$, 'a step may be one less than the budget');
select throws_ok(
  format($$select fixture.view('stable', 50, null, %s)$$, s.step), 'KC017', null, 'a step of this size is refused: ' || s.step)
from (values ('50'), ('51'), ('-1'), ('null')) s(step);
select lives_ok($$select fixture.view('stable', 50)$$, 'no step need be given');
select results_eq(
  $$select * from fixture.error($q$select fixture.view('stable', 50, null, 50)$q$)$$,
  $$values (
      'KC017', 'stable_step must be from 0 to below the budget', 'It is 50, the budget is 50.',
      'Pass a fraction of the budget, a quarter for example, or 0 for none.')$$,
  'a step that is too large is refused with advice');

select fixture.context('replay') as replay \gset
select fixture.talk('replay', 'system 30');
select fixture.talk('replay', (select string_agg(
  case i % 7
    when 3 then format('assistant %s calls c%s', 3 + i % 5, i)
    when 5 then format('tool %s answers c%s', 11 + i % 17, i - 2)
    else format('user %s', 1 + i * 7 % 23)
  end, ', ' order by i) from generate_series(1, 118) i));
create temporary table replay as
  select s.step, a.at, fixture.view('replay', 300, a.at, s.step) as versions
  from generate_series(1, 119) a(at), (values (20), (75), (150), (200)) s(step);
select is_empty(
  $$select from replay r join replay n on n.step = r.step and n.at = r.at + 1 and n.versions[2] = r.versions[2] and r.at > 1
    where n.versions[1:cardinality(r.versions)] <> r.versions$$,
  'as long as the start does not move the next window begins with this one');
select is_empty(
  format($$select r.step
    from (
      select r.step, r.versions[2] is distinct from lag(r.versions[2]) over (partition by r.step order by r.at) as moves
      from replay r
      where r.at > 1) r
    group by r.step
    having count(*) filter (where r.moves) - 1 > (select raw_tokens from kata.usage(%L)) / r.step + 1$$, :'replay'),
  'over a replay the start moves at most once a step');
select is_empty(
  $$select from replay r where not r.at = any (r.versions)$$,
  'the newest message is in every window');
select is_empty(
  format($$select from replay r
    cross join lateral (select sum(w.token_count) as tokens, bool_or(w.over_budget) as over from kata."window"(%L, 300, r.at, r.step) w) w
    where w.tokens > 300 or w.over$$, :'replay'),
  'a stable window keeps its budget');
select is_empty(
  format($$select from replay r join kata.messages(%L, max_rows => 1000) m on m.version <= r.at
    where (m.version = any (r.versions)) <> (m.group_version = any (r.versions))$$, :'replay'),
  'a stable window splits no group');
select is_empty(
  $$select from replay r where not fixture.view('replay', 300, r.at) @> r.versions$$,
  'a stable window shows nothing that a longest one would not');

-- The budget of the policy, a reserve, the additions of a form

select fixture.context('budgets', '{"budget": 79}') as budgets \gset
select fixture.talk('budgets', 'system 10, user 20, assistant 30, user 40');
select is(fixture.view('budgets', null), '{1,4}', 'without a budget the window has that of the policy');
select kata.set_policy(:'budgets', '{"budget": 80}');
select is(fixture.view('budgets', null), '{1,3,4}', 'as it is now');
select is((select array_agg(w.version) from kata."window"(:'budgets') w), '{1,3,4}', 'the context is enough');
select is(
  (select array_agg(w.version order by w.ordinal) from kata."window"(:'budgets', 100, reserve => 20) w), '{1,3,4}',
  'a reserve comes off the budget');
select is((select array_agg(w.version) from kata."window"(:'budgets', reserve => 1) w), '{1,4}', 'of the policy, too');
select is((select bool_and(w.over_budget) from kata."window"(:'budgets', 60, reserve => 11) w), true, 'promises meet what is left');
select throws_ok(
  format('select kata."window"(%L, 100, reserve => %s)', :'budgets', r.reserve), 'KC017', null, 'this is not a reserve: ' || r.reserve)
from (values ('100'), ('101'), ('null')) r(reserve);
select results_eq(
  format($$select * from fixture.error(%L)$$, format('select kata."window"(%L, 100, reserve => -5)', :'budgets')),
  $$values ('KC017', 'reserve must be from 0 to below the budget', 'It is -5, the budget is 100.',
    'Pass how many tokens of the budget to keep for the answer and the tools, or 0.')$$,
  'nor is a negative one');
select throws_ok(
  format('select kata."window"(%L, 100, reserve => 60, stable_step => 40)', :'budgets'), 'KC017', null, 'a step fits what is left');
select throws_ok(format($$select kata."window"(%L, 100, format => 'morse')$$, :'budgets'), 'KC017', null, 'a form is known');
select fixture.context('forms', '{"strict": false}') as forms \gset
select kata.append(:'forms', '[{"role": "user", "content": "a", "token_count": 10},
  {"role": "tool", "tool_call_id": "x", "content": "b", "token_count": 10}, {"role": "user", "content": "c", "token_count": 10}]');
select is(fixture.view('forms', 30), '{1,2,3}', 'without a form messages alone count');
select is(
  (select array_agg(w.version order by w.ordinal) from kata."window"(:'forms', 30, format => 'openai') w), '{2,3}',
  'with one its additions do, too');
select is(
  jsonb_array_length(kata.prompt(:'forms', 30, 'openai')), 2, 'as the prompt has them');

-- The form adds to a request, a summary and a message that were counted as little.
select fixture.context('named', '{"preserve_recent_count": 0, "min_gain_tokens": 0}') as named \gset
select kata.append(:'named', '[{"role": "user", "content": "a", "token_count": 4, "name": "a_name_of_many_tokens_in_the_form"},
  {"role": "assistant", "content": "b", "token_count": 5}]');
select fixture.context('summed', '{"preserve_recent_count": 0, "min_gain_tokens": 0, "summary_role": "user"}') as summed \gset
select fixture.talk('summed', 'user 5, assistant 5, user 5');
select commit_compaction from kata.begin_compaction(:'summed', 'summarize', force => true) b
cross join lateral kata.commit_compaction(b.compaction_id, 'so far', 0);
select fixture.context('uncounted') as uncounted \gset
select kata.append(:'uncounted', '[{"role": "user", "content": "a", "token_count": 0, "name": "a_name_of_many_tokens_in_the_form"}]');
select is(
  (select array_agg(row(w.version, w.over_budget)::text) from kata."window"(c.context::uuid, c.budget, format => 'openai') w),
  c.shown, c.why)
from (values
  (:'named', 12, array['(2,f)'], 'a request that does not fit in the form leaves a window that is not over budget'),
  (:'summed', 7, array['(3,f)'], 'so does a summary'),
  (:'named', 4, array['(2,t)'], 'what always comes may still be over budget'),
  (:'uncounted', 4, array['(1,t)'], 'in the form a message of no tokens may be over budget')) c(context, budget, shown, why);
select is(
  (select string_agg(coalesce(e.code, 'prompt'), ', ' order by c.place)
    from (values (1, :'named', 12), (2, :'summed', 7), (3, :'named', 4), (4, :'uncounted', 4)) c(place, context, budget)
    left join lateral fixture.error(format('select kata.prompt(%L, %s)', c.context, c.budget)) e on true),
  'prompt, prompt, KC020, KC020', 'a prompt is refused where the window of its form is over budget');

-- Other tokenizers

select fixture.context('units') as units \gset
select fixture.talk('units', 'user 10, assistant 10, user 10');
select is(
  (select array_agg(w.token_count order by w.ordinal) from kata."window"(:'units', 100, tokenizer => 'cl100k_base') w), '{12,12,12}',
  'counts are converted by the density of the tokenizers, and padded');
select is(fixture.view('units', 36, tokenizer => 'cl100k_base'), '{1,2,3}', 'the budget is in the tokenizer that is asked for');
select is(fixture.view('units', 35, tokenizer => 'cl100k_base'), '{2,3}', 'converted counts are what the budget cuts');
select is(fixture.view('units', 30, tokenizer => 'o200k_base'), '{1,2,3}', 'the context''s own tokenizer is not converted');
select is(kata.put_token_counts(:'units', 'cl100k_base', '{1,3}', '{11,9}'), 2, 'exact counts can be stored beside');
select is((select array_agg(w.token_count order by w.ordinal) from kata."window"(:'units', 100, tokenizer => 'cl100k_base') w), '{11,12,9}',
  'stored counts are used where there are any');
select is(
  (select array_agg(w.running_tokens order by w.ordinal) from kata."window"(:'units', 100, tokenizer => 'cl100k_base') w), '{11,23,32}',
  'running totals are of the counts shown');
select is(fixture.view('units', 32, tokenizer => 'cl100k_base'), '{1,2,3}', 'stored counts are what the budget cuts');
select is(fixture.view('units', 31, tokenizer => 'cl100k_base'), '{2,3}', 'one token less cuts');
select is(
  (select array_agg(w.token_count order by w.ordinal) from kata."window"(:'units', 100) w), '{10,10,10}',
  'counts beside do not change the context''s own');
select is(
  (select over_budget from kata."window"(:'units', 8, tokenizer => 'cl100k_base') w), true,
  'promises are held against the budget in the tokenizer that is asked for');
select throws_ok(
  format($$select kata."window"(%L, 100, tokenizer => 'abacus')$$, :'units'), 'KC017', null, 'an unknown tokenizer is refused');
select results_eq(
  format($$select * from fixture.error($q$select kata."window"(%L, 100, tokenizer => 'abacus')$q$)$$, :'units'),
  $$values (
      'KC017', 'tokenizer "abacus" is unknown', 'Its ratio to other tokenizers is not registered.',
      'Register it with kata.register_tokenizer; kata.tokenizers lists the known ones.')$$,
  'an unknown tokenizer is refused with advice');
select kata.register_tokenizer('coarse', 44, 0);
select is(fixture.view('units', 3, tokenizer => 'coarse'), '{1,2,3}', 'a registered tokenizer can be asked for');
select kata.register_tokenizer('fine', 0.44, 0);
select fixture.context('fine units') as fine_units \gset
select fixture.talk(
  'fine units', (select string_agg(format('user 1, assistant 1 calls x%s, tool 1 answers x%s', i, i), ', ') from generate_series(1, 100) i)
);
select is(
  (select sum(w.token_count) from kata."window"(:'fine_units', 455, tokenizer => 'fine') w), 450::bigint,
  'a window in a finer tokenizer keeps its budget');
select is(
  (select count(*) from kata."window"(:'fine_units', 31, tokenizer => 'coarse') w), 30::bigint,
  'a message takes one token at least when it is converted');
select kata.put_token_counts(
  :'fine_units', 'coarse', array(select generate_series(1, 300)::bigint), array(select 0 from generate_series(1, 300)));
select is(
  (select count(*) from kata."window"(:'fine_units', 1, tokenizer => 'coarse') w), 300::bigint,
  'stored counts may be far below what running totals promise');

-- Along a lineage

select fixture.context('trunk') as trunk \gset
select fixture.talk('trunk', 'system 1, user 2 pinned, assistant 4 calls a, user 8, user 16 pinned');
select fixture.fork('trunk', 4, 'branch') as branch \gset
select fixture.talk('branch', 'tool 32 answers a, user 64');
select fixture.fork('branch', 5, 'twig') as twig \gset
select fixture.talk('twig', 'assistant 128 calls b, tool 256 answers b, user 512');
select fixture.talk('trunk', 'tool 1000 answers a, user 2000');
select fixture.talk('branch', 'user 3000 pinned');
select is(
  pg_temp.reasons('twig', 2000), '1 preamble, 2 pinned, 3 recent, 4 recent, 5 recent, 6 recent, 7 recent, 8 newest',
  'a fork''s window has what it inherited and what is its own');
select is(fixture.view('twig', 942), '{1,2,3,5,6,7,8}', 'groups that span contexts are whole');
select is(fixture.view('twig', 934), '{1,2,6,7,8}', 'groups that span contexts go whole');
select is(fixture.view('twig', 515), '{1,2,8}', 'preamble and pins are inherited up to the fork');
select is(
  (select array_agg(w.token_count order by w.ordinal) from kata."window"(:'twig', 2000) w), '{1,2,4,8,32,128,256,512}',
  'what siblings and parents wrote after the fork is not there');
select is(fixture.view('twig', 15, 4), '{1,2,3,4}', 'a fork''s window as of a version before it is that of its ancestor');
select is(
  fixture.view('twig', 2000, a.at), fixture.view('branch', 2000, a.at), format('as of version %s parent and child show the same', a.at))
from generate_series(1, 5) a(at);
select is(pg_temp.broken_windows('twig'), null, 'at no budget and no version does a fork''s window split a group or lie about its sum');
select fixture.fork('trunk', 0, 'bare') as bare \gset
select is_empty(format('select kata."window"(%L, 10)', :'bare'), 'a fork of nothing has an empty window');
select fixture.talk('bare', 'user 3');
select is(pg_temp.reasons('bare', 10), '1 newest', 'a fork of nothing shows what it wrote');
select fixture.fork('trunk', 1, 'rules only') as rules_only \gset
select fixture.talk('rules only', 'developer 1, user 1');
select is(pg_temp.reasons('rules only', 10), '1 preamble, 2 preamble, 3 newest', 'a fork inside the preamble goes on with it');

-- A view change among the first messages

select fixture.context('early', '{}') as early \gset
select fixture.talk('early', 'system 100');
select kata.pin(:'early', 1);
select kata.unpin(:'early', 1);
select fixture.talk('early', 'user 10, user 10');
select is(pg_temp.reasons('early', 120), '1 preamble, 4 recent, 5 newest', 'a view change is not part of the preamble');
select is(
  array(select row(w.ordinal, w.running_tokens)::text from kata."window"(:'early', 120) w), '{"(1,100)","(2,110)","(3,120)"}',
  'the preamble counts, its messages are numbered without the view changes');
select is(
  (select bool_and(w.over_budget) from kata."window"(:'early', 50) w), true, 'a preamble that alone exceeds the budget is flagged');
select fixture.fork('early', 2, 'earlier') as earlier \gset
select fixture.talk('earlier', 'developer 1, user 1');
select is(pg_temp.reasons('earlier', 200), '1 preamble, 3 preamble, 4 newest', 'a fork at such a change goes on with the preamble');

-- Why a message is in or out

select fixture.context('explained', '{"preserve_recent_count": 1, "min_gain_tokens": 0}') as explained \gset
select fixture.talk('explained', 'system 5, user 10, assistant 20, user 30, assistant 40, user 50, assistant 60, user 70, assistant 80');
select kata.delete_messages(:'explained', 4);
select summary_version from kata.compact(:'explained', 'drop', force => true);
select kata.append(:'explained', fixture.drafts('user 10, assistant 20, user 30'));
create temporary table explained as select e.* from kata.explain_window(:'explained', 60) e;
select is(
  array(select row(e.version, e.reason, e.shown, e.running_tokens)::text from explained e),
  array['(14,newest,t,55)', '(13,recent,t,25)', '(12,budget,f,)', '(9,budget,f,)', '(8,budget,f,)', '(7,covered,f,)', '(6,covered,f,)',
    '(5,covered,f,)', '(4,deleted,f,)', '(3,covered,f,)', '(2,covered,f,)', '(1,preamble,t,5)'],
  'every message has its reason, newest first');
select is(
  array(select row(e.version, e.reason, e.running_tokens)::text from explained e where e.shown order by e.running_tokens),
  array(select row(w.version, w.reason, w.running_tokens)::text from kata."window"(:'explained', 60) w), 'those shown are the window');
select is(
  (select sum(e.token_count) from explained e where not e.shown and e.reason = 'budget'),
  (select u.view_tokens - (select max(w.running_tokens) from kata."window"(:'explained', 60) w) from kata.usage(:'explained') u),
  'the sum of what the budget leaves out follows from the usage');
select is(
  array(select e.version from kata.explain_window(:'explained', 60, max_rows => 3, after => 12) e), '{9,8,7}', 'page by page');
select is(
  array(select e.reason from kata.explain_window(:'explained', 25, at => 2) e), '{newest,preamble}', 'as of a version');
select throws_ok(format('select kata.explain_window(%L, max_rows => 0)', :'explained'), 'KC017', null, 'a page has rows');
select throws_ok(format('select kata.explain_window(%L, 0)', :'explained'), 'KC017', null, 'a budget is positive, as for a window');

select * from finish();
rollback;
