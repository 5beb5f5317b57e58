-- Amendments: other words for a message, in its place.

begin;
select plan(174);

create function pg_temp.shown(context text, at bigint default null) returns text
language sql stable
as $$
  select string_agg(format('%s%s %s', m.version, left(replace(m.kind, 'message', ''), 1), left(m.content, 12)), ', ' order by m."position")
  from kata.messages(fixture.id(context), at => at, max_rows => 1000) m
$$;

create function pg_temp.windowed(context text, budget integer default 1000, at bigint default null) returns text
language sql stable
as $$
  select string_agg(format(
    '%s%s %s %s', w.version, left(replace(w.kind, 'message', ''), 1), w.token_count, w.running_tokens), ', ' order by w.ordinal)
  from kata."window"(fixture.id(context), budget, at => at) w
$$;

-- The words in force

select fixture.context('amended');
select fixture.id('amended') as id \gset
select fixture.talk('amended', 'system 10, user 5, assistant 7 calls a b, tool 30 answers a, tool 40 answers b, assistant 6, user 8');
select is(kata.amend(:'id', 4, '{"content": "late result", "token_count": 12}'), 8::bigint, 'an amendment takes a version');
select is(pg_temp.shown('amended'),
  '1 system 10, 2 user 5, 3 assistant 7 , 4a late result, 5 tool 40 answ, 6 assistant 6, 7 user 8',
  'the message has other words in its place');
select is(pg_temp.shown('amended', 7),
  '1 system 10, 2 user 5, 3 assistant 7 , 4 tool 30 answ, 5 tool 40 answ, 6 assistant 6, 7 user 8', 'as of before it its own');
select is(
  (select row(m.kind, m.content, m.token_count)::text from kata.get_message(:'id', 4) m), '(message,"tool 30 answers a",30)',
  'get_message returns the first words');
select is(
  (select row(s.kind, s.content, s.token_count, s.token_source, s.tool_call_id, s.role)::text
   from kata.state_at(:'id') s where s.version = 4),
  '(amended,"late result",12,given,a,tool)', 'state_at what is shown');
select is(
  (select string_agg(m.content, ', ' order by m.version) from kata.messages(:'id', visibility => v.visibility) m where m.version = 4),
  'tool 30 answers a', format('so does the list %s', v.visibility))
from unnest('{raw,all}'::text[]) v(visibility);
select is((select u.view_tokens from kata.usage(:'id') u), 88::bigint, 'the view is that much shorter');
select is((select u.raw_tokens from kata.usage(:'id') u), 106::bigint, 'the raw log is not');
select is(pg_temp.windowed('amended'), '1 10 10, 2 5 15, 3 7 22, 4a 12 34, 5 40 74, 6 6 80, 7 8 88', 'a window counts its words');
select is(pg_temp.windowed('amended', 88), '1 10 10, 2 5 15, 3 7 22, 4a 12 34, 5 40 74, 6 6 80, 7 8 88', 'where all of it fits');
select is(pg_temp.windowed('amended', 87), '1 10 10, 3 7 17, 4a 12 29, 5 40 69, 6 6 75, 7 8 83', 'and no more');
select is(
  (select m ->> 'content' from jsonb_array_elements(kata.prompt(:'id', 1000)) m where m ->> 'tool_call_id' = 'a'), 'late result',
  'a prompt has them');
select is(pg_temp.windowed('amended', 1000, 7), '1 10 10, 2 5 15, 3 7 22, 4 30 52, 5 40 92, 6 6 98, 7 8 106', 'as of before, its own');

-- A fork

select kata.fork(:'id', 7, 'unamended');
select kata.fork(:'id', 8, 'inherited');
select is(pg_temp.windowed('unamended'), '1 10 10, 2 5 15, 3 7 22, 4 30 52, 5 40 92, 6 6 98, 7 8 106', 'an earlier fork has the old words');
select is(pg_temp.windowed('inherited'), '1 10 10, 2 5 15, 3 7 22, 4a 12 34, 5 40 74, 6 6 80, 7 8 88', 'a later one the new');
select is(kata.amend(fixture.id('inherited'), 2, '{"content": "of the fork", "token_count": 9}'), 9::bigint,
  'a fork amends what it inherits');
select is(pg_temp.shown('inherited'),
  '1 system 10, 2a of the fork, 3 assistant 7 , 4a late result, 5 tool 40 answ, 6 assistant 6, 7 user 8', 'for itself');
select is(pg_temp.shown('amended'),
  '1 system 10, 2 user 5, 3 assistant 7 , 4a late result, 5 tool 40 answ, 6 assistant 6, 7 user 8', 'not for its parent');

-- The last one in force wins, over a stub, too

select is(kata.elide(:'id', 5, keep_tokens => 0), 9::bigint, 'a result is shortened');
select is(kata.amend(:'id', 5, '{"content": "after the stub", "token_count": 30}'), 10::bigint, 'an amendment comes over it');
select matches(pg_temp.shown('amended'), '4a late result, 5a after the st', 'and is shown');
select is((select u.view_tokens from kata.usage(:'id') u), 78::bigint, 'with its tokens');
select is(kata.elide(:'id', 5, keep_tokens => 5), 11::bigint, 'what is amended can be shortened');
select is(
  (select string_agg(m.content, ', ' order by m.version) from kata.messages(:'id') m where m.kind = 'stub'),
  '[shortened, 30 tokens; whole: version 5]', 'from the words in force');
select is(kata.undo(:'id', 11), 12::bigint, 'the stubs are undone');
select is(kata.amend(:'id', 4, '{"content": "later still", "token_count": 11}'), 13::bigint, 'a message is amended again');
select is((select c.amendments from kata_data.view_change c where c.segment_id = :'id' and c.version = 13),
  array(select c.change_id from kata_data.view_change c where c.segment_id = :'id' and c.version in (10, 13) order by 1),
  'a view lists the last amendment of each message');
select is(kata.undo(:'id', 8), 14::bigint, 'an earlier amendment is undone under a later one');
select matches(pg_temp.shown('amended'), '4a later still', 'which stays');
select is(kata.undo(:'id', 13), 15::bigint, 'the later one is undone');
select matches(pg_temp.shown('amended'), '4 tool 30 answ', 'and the message has its own words');
select is(kata.undo(:'id', 14), 16::bigint, 'an undo of an amendment is undone');
select matches(pg_temp.shown('amended'), '4a late result', 'which brings its words back');
select is(
  (select string_agg(concat_ws(' ', h.version, h.kind, h.preview), ', ' order by h.version)
   from kata.history(:'id') h where h.version in (13, 14)),
  '13 amendment later still, 14 undo version 8', 'history has them');
select is(
  (select string_agg(concat_ws(' ', d.version, d.change, d.kind, d.preview, d.token_count), ', ' order by d.version)
   from kata.diff_versions(:'id', 7, 16) d),
  '4 amended amended late result 12, 5 amended amended after the stub 30', 'a difference names them');
select is(
  (select string_agg(concat_ws(' ', d.version, d.change, d.kind, d.preview, d.token_count), ', ' order by d.version)
   from kata.diff_versions(:'id', 16, 7) d),
  '4 restored message tool 30 answers a 30, 5 restored message tool 40 answers b 40', 'in the other direction, too');

-- Keys and values

select is(
  (select row(e.code, e.detail)::text from fixture.error(format('select kata.amend(%L, %s, %L)', :'id', e.version, e.message)) e), e.error,
  e.what)
from (values
  (2, '[]', '(KC004,"It is array, not an object.")', 'an amendment is an object'),
  (2, '{}', '(KC004,"It is empty.")', 'that changes something'),
  (2, '{"role": "user"}',
    '(KC004,"Its key ""role"" cannot be amended; these can: content, parts, tool_calls, provider, name, metadata, token_count.")',
    'the role stays'),
  (4, '{"tool_call_id": "b"}',
    '(KC004,"Its key ""tool_call_id"" cannot be amended; these can: content, parts, tool_calls, provider, name, metadata, token_count.")',
    'the call stays'),
  (2, '{"content": 1}', '(KC004,"Its content is number; content is a string, and parts hold other media.")',
    'types are those of a message'),
  (2, '{"content": " \n "}', '(KC004,"It would be blank.")', 'a message is not amended to nothing'),
  (2, '{"content": "\u00a0"}', '(KC004,"It would be blank.")', 'nor to white space'),
  (2, '{"content": null}', '(KC004,"It has no content, and neither tool_calls nor parts.")', 'nor away'),
  (2, '{"parts": [{"type": "text", "text": " "}]}', '(KC004,"It would be blank.")', 'nor to blank parts'),
  (6, '{"parts": [{"type": "thinking", "thinking": "x"}]}', '(KC004,"It would be blank.")', 'nor to thinking, which is not sent'),
  (2, '{"token_count": -1}', '(KC004,"Its token_count is -1, not an integer from 0 to 2147483647.")', 'a count is a number of tokens'),
  (3, '{"tool_calls": [{"id": "a", "type": "function", "function": {"name": "search", "arguments": "{}"}}]}',
    '(KC004,"Its calls have other ids or names; an amendment may change their arguments only.")', 'calls stay'),
  (2, '{"tool_calls": [{"id": "a", "type": "function", "function": {"name": "search", "arguments": "{}"}}]}',
    '(KC004,"Its role is user, and only an assistant calls tools.")', 'none come'),
  (0, '{"content": "x"}', format('(KC002,"Context %s has no message or summary of this version.")', :'id'), 'a version begins at 1'),
  (17, '{"content": "x"}', format('(KC002,"Context %s has no message or summary of this version.")', :'id'), 'and ends at the newest'),
  (8, '{"content": "x"}', format('(KC002,"Context %s has no message or summary of this version.")', :'id'), 'a view change has no words')
) e(version, message, error, what);
select throws_ok(format('select kata.amend(%L, 2, null)', :'id'), 'KC004', 'the amendment is invalid', 'null amends nothing');
select is((select h.version from kata_data.head h where h.context_id = :'id'), 16::bigint, 'what is refused changes nothing');

select kata.amend(:'id', 3, '{"tool_calls": [
  {"id": "a", "type": "function", "function": {"name": "search", "arguments": "{\"q\": 1}"}},
  {"id": "b", "type": "function", "function": {"name": "search", "arguments": "{}"}}], "name": "planner"}');
select is(
  (select row(m.kind, m.name, m.content, m.tool_calls #>> '{0,function,arguments}', m.token_source)::text
   from kata.messages(:'id') m where m.version = 3),
  '(amended,planner,"assistant 7 calls a b","{""q"": 1}",estimate)', 'arguments change, and what is not named stays');
select is(
  (select m.token_count from kata.messages(:'id') m where m.version = 3),
  (select kata_data.message_tokens(m.content, m.tool_calls, m.parts, 'o200k_base', m.name, m.provider)
   from kata.messages(:'id') m where m.version = 3),
  'what is not counted is estimated as an append does');
select kata.amend(:'id', 3, '{"metadata": {"seen": true}}');
select is(
  (select row(m.name, m.metadata, m.token_source)::text from kata.messages(:'id') m where m.version = 3),
  '(planner,"{""seen"": true}",estimate)', 'what an earlier amendment changed stays as well');

select fixture.context('parted');
select kata.append_message(fixture.id('parted'), 'user', null,
  parts => '[{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]');
select throws_ok(format('select kata.amend(%L, 1, ''{"content": "x"}'')', fixture.id('parted')), 'KC004', 'the amendment is invalid',
  'content alone does not replace parts, which are sent');
select kata.amend(fixture.id('parted'), 1, '{"parts": [{"type": "text", "text": "three"}]}');
select is((select m.content from kata.messages(fixture.id('parted')) m), 'three', 'the content is the text of the parts');
select kata.amend(fixture.id('parted'), 1, '{"content": "four", "parts": null}');
select is((select row(m.content, m.parts)::text from kata.messages(fixture.id('parted')) m), '(four,)', 'null removes');

-- Conflicts and keys

select fixture.context('agents');
select fixture.id('agents') as agents \gset
select fixture.talk('agents', 'system 10, user 5, assistant 6');
select is(kata.amend(:'agents', 1, '{"content": "be brief"}', expected_version => 3), 4::bigint, 'an operator changes the system prompt');
select lives_ok(format('select kata.append_message(%L, ''user'', ''x'', 1, expected_version => 3)', :'agents'), 'and fails no agent');
select is(kata.amend(:'agents', 3, '{"content": "corrected"}'), 6::bigint, 'an answer is amended');
select throws_ok(format('select kata.append_message(%L, ''user'', ''x'', 1, expected_version => 5)', :'agents'), 'KC003',
  format('version conflict on context %s', :'agents'), 'who has seen the old one conflicts');
select throws_ok(format('select kata.amend(%L, 3, ''{"content": "y"}'', 5)', :'agents'), 'KC003',
  format('version conflict on context %s', :'agents'), 'an amendment, too');
select is(kata.undo(:'agents', 6), 7::bigint, 'the amendment is undone');
select throws_ok(format('select kata.append_message(%L, ''user'', ''x'', 1, expected_version => 6)', :'agents'), 'KC003',
  format('version conflict on context %s', :'agents'), 'which changes words as well');
select is(kata.amend(:'agents', 3, '{"content": "z"}', idempotency_key => 'once'), 8::bigint, 'a key');
select is(kata.amend(:'agents', 3, '{"content": "z"}', 1, 'once'), 8::bigint, 'answers the first result');
select throws_ok(format('select kata.amend(%L, 3, ''{"content": "other"}'', null, ''once'')', :'agents'), 'KC019',
  'idempotency key "once" was used for another request', 'to the same request only');
select is((select u.version from kata.usage(:'agents') u), 8::bigint, 'and amends once');
select is(pg_temp.windowed('agents'), '1a 9 9, 2 5 14, 3a 5 19, 5 1 20', 'an amended system prompt is still the preamble');
select is((select w.reason from kata."window"(:'agents', 1000) w where w.version = 1), 'preamble', 'in its place');

-- What is hidden

select fixture.context('hidden', '{"preserve_recent_count": 1}');
select fixture.id('hidden') as hidden \gset
select fixture.talk('hidden', 'system 10, user 50, assistant 60, user 70, assistant 80, user 5');
select kata.delete_messages(:'hidden', 3);
select throws_ok(format('select kata.amend(%L, 3, ''{"content": "x"}'')', :'hidden'), 'KC017', 'version 3 is deleted',
  'what is deleted is not amended');
select is(kata.amend(:'hidden', 2, '{"content": "before", "token_count": 40}'), 8::bigint, 'a message is amended');
select (kata.begin_compaction(:'hidden', 'summarize', force => true)).compaction_id as compaction \gset
select is(
  (select string_agg(s.version || ' ' || s.content, ', ' order by s.version) from kata.compaction_source(:'compaction') s),
  '2 before, 4 user 70, 5 assistant 80', 'a summarizer reads the words in force');
select is((kata.commit_compaction(:'compaction', 'the summary', 3)).summary_version, 9::bigint, 'a compaction covers it');
select is((select c.amendments from kata_data.view_change c where c.segment_id = :'hidden' and c.version = 9), '{}'::bigint[],
  'the amendment leaves the view with its message');
select is(
  (select row(e.code, e.message)::text from fixture.error(format('select kata.undo(%L, 8)', :'hidden')) e),
  '(KC021,"version 8 is superseded by the compaction at version 9")', 'a summary may be made of its words');
select is(kata.amend(:'hidden', 4, '{"content": "while covered", "token_count": 30}'), 10::bigint, 'a covered message is amended');
select is((select u.view_tokens from kata.usage(:'hidden') u), 18::bigint, 'which changes nothing that is shown');
select is(kata.pin(:'hidden', 2), 11::bigint, 'a covered message is pinned');
select is(pg_temp.windowed('hidden'), '1 10 10, 2a 40 50, 9s 3 53, 6 5 58', 'and comes back as amended');
select is(kata.pin(:'hidden', 4), 12::bigint, 'so is one that was amended while it was covered');
select is(pg_temp.windowed('hidden'), '1 10 10, 2a 40 50, 4a 30 80, 9s 3 83, 6 5 88', 'which comes back as amended, too');
select is(kata.amend(:'hidden', 9, '{"content": "a better summary", "token_count": 4}'), 13::bigint, 'a summary is amended');
select is(pg_temp.windowed('hidden'), '1 10 10, 2a 40 50, 4a 30 80, 9s 4 84, 6 5 89', 'and has other words and tokens');
select is((select m.content from kata.messages(:'hidden') m where m.kind = 'summary'), 'a better summary', 'in every list of the view');
select is(
  (select row(e.code, e.detail)::text from fixture.error(format('select kata.amend(%L, 9, ''{"parts": []}'')', :'hidden')) e),
  '(KC004,"Its key ""parts"" cannot be amended; these can: content, metadata, token_count.")', 'a summary has no parts');
select is(
  (select string_agg(concat_ws(' ', d.version, d.change, d.kind, d.preview, d.token_count), ', ')
   from kata.diff_versions(:'hidden', 12, 13) d),
  '9 amended summary a better summary 4', 'a difference names an amended summary');
select kata.undo(:'hidden', 12);
select kata.undo(:'hidden', 11);
select fixture.talk('hidden', 'assistant 90, user 6');
select is((select b.previous_summary from kata.begin_compaction(:'hidden', 'summarize', force => true) b), 'a better summary',
  'the next compaction takes up the amended words');
select kata.abort_compaction(c.compaction_id) from kata.compactions(:'hidden') c where c.status = 'running';

select fixture.context('taken back', '{"preserve_recent_count": 0, "min_gain_tokens": 0}') as taken_back \gset
select fixture.talk('taken back', 'user 8, assistant 8, user 8');
select fixture.compact('taken back') as summary \gset
select kata.undo(:'taken_back', :summary);
select kata.amend(:'taken_back', :summary, '{"content": "not shown", "token_count": 6}');
select is((select u.view_tokens from kata.usage(:'taken_back') u), 24::bigint, 'the words of a summary that is undone count nothing');

-- A window that shows the messages under a summary that does not fit

select fixture.context('left out', '{"preserve_recent_count": 1, "min_interval_seconds": 0}');
select fixture.id('left out') as out \gset
select fixture.talk('left out', 'user 5, assistant 6, user 7');
select kata.amend(:'out', 2, '{"content": "amended", "token_count": 4}');
select (kata.begin_compaction(:'out', 'summarize', force => true)).compaction_id as compaction \gset
select kata.commit_compaction(:'compaction', 'long', 8);
select is(pg_temp.windowed('left out', 100), '5s 8 8, 3 7 15', 'a summary that fits');
select is(pg_temp.windowed('left out', 14), '2a 4 4, 3 7 11', 'one that does not leaves what it covers, as it is amended');

-- Undo

select fixture.context('matrix');
select fixture.id('matrix') as matrix \gset
select fixture.talk('matrix', 'user 5, assistant 7 calls a, tool 300 answers a, user 6');
select is(kata.amend(:'matrix', 3, format('{"content": "%s"}', repeat('secret ', 100))::jsonb), 5::bigint, 'a result is amended');
select is(kata.elide(:'matrix', 3), 6::bigint, 'and shortened');
select is(
  (select row(e.code, e.message, e.detail)::text from fixture.error(format('select kata.undo(%L, 5)', :'matrix')) e),
  '(KC021,"version 5 is superseded by the elision at version 6",' ||
    '"The short form that it shows is made of the words in force then: {[3,4)}.")',
  'a short form may repeat the words');
select is(kata.undo(:'matrix', 6), 7::bigint, 'once the elision is undone');
select is(kata.undo(:'matrix', 5), 8::bigint, 'the amendment is, too');
select is(kata.elide(:'matrix', 3), 9::bigint, 'another elision');
select throws_ok(format('select kata.undo(%L, 8)', :'matrix'), 'KC021', 'version 8 is superseded by the elision at version 9',
  'keeps the amendment from coming back');
select is(kata.undo(:'matrix', 9), 10::bigint, 'undone');
select is(kata.undo(:'matrix', 8), 11::bigint, 'it does');
select matches(pg_temp.shown('matrix'), '3a secret', 'with its words');
select is(kata.delete_messages(:'matrix', 3), 12::bigint, 'a deletion');
select is(kata.undo(:'matrix', 11), 13::bigint, 'keeps no amendment from being undone');
select is(kata.undo(:'matrix', 12), 14::bigint, 'or the deletion from being undone after it');
select matches(pg_temp.shown('matrix'), '3 tool 300', 'which brings the message back in its own words');
select is(kata.undo(:'matrix', 13), 15::bigint, 'and the amendment again');
select matches(pg_temp.shown('matrix'), '3a secret', 'on the message that came back');

-- Stale commits

create function pg_temp.stale(name text, meanwhile text) returns text
language plpgsql volatile
as $$
declare
  v_id uuid := kata.create_context(name, '{"preserve_recent_count": 1, "min_interval_seconds": 0}');
  v_compaction uuid;
begin
  perform fixture.talk(name, 'user 50, assistant 7 calls a, tool 300 answers a, assistant 60, user 6');
  perform kata.amend(v_id, 1, '{"content": "earlier", "token_count": 40}');
  v_compaction := (kata.begin_compaction(v_id, 'summarize', force => true)).compaction_id;
  execute replace(meanwhile, ':id', quote_literal(v_id));
  return (select string_agg(s.version || ' ' || left(s.content, 10), ', ' order by s.version) from kata.compaction_source(v_compaction) s)
    || ': ' || coalesce(
      (select e.code from fixture.error(format('select kata.commit_compaction(%L, ''short'')', v_compaction)) e), 'committed');
end
$$;
select is(pg_temp.stale('meanwhile ' || m.place, m.meanwhile), '1 earlier, 2 assistant , 3 tool 300 a, 4 assistant ' || m.ends, m.what)
from (values
  (1, 'select kata.amend(:id, 3, ''{"content": "x"}'')', ': KC011', 'an amendment of what is covered makes a commit stale'),
  (2, 'select kata.undo(:id, 6)', ': KC011', 'so does the undo of one'),
  (3, 'select kata.undo(:id, kata.amend(:id, 3, ''{"content": "x"}''))', ': committed', 'not of one made since'),
  (4, 'select kata.amend(:id, 5, ''{"content": "x"}'')', ': committed', 'nor an amendment elsewhere')) m(place, meanwhile, ends, what)
order by m.place;

-- Merges and erasures

select fixture.context('trunk');
select fixture.id('trunk') as trunk \gset
select fixture.talk('trunk', 'user 5');
select kata.fork(:'trunk', 1, 'branch') as branch \gset
select fixture.talk('branch', 'assistant 6, user 7');
select is(kata.amend(:'branch', 2, '{"content": "the secret", "token_count": 9}'), 4::bigint, 'an answer is amended');
select is(kata.amend(:'branch', 2, '{"metadata": {"by": "operator"}}'), 5::bigint, 'and what is around the words');
select is(kata.amend(:'branch', 3, '{"content": "no secret"}'), 6::bigint, 'another message, too');
select is((select array_agg(m.version) from kata.merge(:'trunk', :'branch') m), '{2,3}', 'a merge');
select is(pg_temp.shown('trunk'), '1 user 5, 2 the secret, 3 no secret', 'copies the words in force');
select is((select row(m.token_count, m.metadata)::text from kata.get_message(:'trunk', 2) m), '(9,"{""by"": ""operator""}")',
  'all of them');
select is(
  (select string_agg(concat_ws(' ', e.version, e.what), ', ' order by e.what, e.segment_id = :'branch', e.version)
   from kata.erase_message(:'branch', 4, 'a secret') e),
  '4 amendment, 5 amendment, 2 copy', 'an amendment is erased with what took words from it, and with copies');
select is(pg_temp.shown('branch'), '1 user 5, 2a , 3a no secret', 'its message is blank');
select is(pg_temp.shown('trunk'), '1 user 5, 2 , 3 no secret', 'and the copy');
select is((select m.content from kata.get_message(:'branch', 2) m), 'assistant 6', 'the first words stay');
select is(
  (select string_agg(concat_ws(' ', e.version, e.what), ', ' order by e.what, e.version) from kata.erase_message(:'branch', 3, 'a wish') e),
  '6 amendment, 3 copy, 3 message', 'a message is erased with its amendments');
select is(
  (select count(*)
   from kata_data.amendment a
   join kata_data.view_change c on c.change_id = a.change_id
   where c.segment_id = :'branch' and (a.content <> '' or a.salt is not null or a.metadata is not null)), 0::bigint,
  'no words of these are left');
select is(pg_temp.shown('branch'), '1 user 5, 2a , 3a ', 'nothing is shown');
select is(kata.amend(:'branch', 3, '{"content": "anew"}'), 7::bigint, 'an erased message may be amended');
select is(pg_temp.shown('branch'), '1 user 5, 2a , 3a anew', 'and is shown as amended');

-- Stubs of amended words

create function pg_temp.stubs(words text) returns bigint
language sql stable
as $$
  select count(*) from kata_data.stub s where s.segment_id = fixture.id('whole') and s.content like '%' || words || '%'
$$;
create function pg_temp.problems(context text) returns text[]
language sql volatile
as $$
  select array(select v.problem || ' at ' || v.version from kata.verify(fixture.id(context)) v order by 1)
$$;
select fixture.context('whole') as whole \gset
select fixture.talk('whole', 'user 5, assistant 7 calls a, tool 300 answers a, user 8');
select kata.fork(:'whole', 4, 'apart') as apart, kata.fork(:'whole', 4, 'beside') as beside \gset
select kata.undo(:'whole', kata.amend(:'whole', 3, '{"content": "secret undone", "token_count": 100}'));
select kata.amend(:'apart', 3, '{"content": "secret apart", "token_count": 100}');
select kata.elide(e.context_id, 3, keep_tokens => 50) from unnest(array[:'whole', :'apart', :'beside']::uuid[]) e(context_id);
select is(array[pg_temp.stubs('tool 300'), pg_temp.stubs('secret')], '{2,1}', 'stubs are made of the words in force');
select is(
  fixture.damage(
    format('update kata_data.stub set amendment_id = %s where segment_id = %L and version = 3', d.changed, :'whole'), d.context),
  d.problems, d.what)
from (values
  ('null', 'apart', '{stub at 6}'::text[], 'verify finds one that no longer names its amendment'),
  ('change_id - 1', 'beside', '{stub at 5}', 'and one that names another')) d(changed, context, problems, what);
select is(
  (select string_agg(e.version || ' ' || e.what, ', ') from kata.erase_message(:'apart', 5, 'a secret') e), '5 amendment', 'an erasure');
select is((select string_agg(e.version || ' ' || e.what, ', ') from kata.erase_message(:'whole', 5, 'a secret') e), '5 amendment',
  'and one of an amendment that is undone');
select is(array[pg_temp.stubs('tool 300'), pg_temp.stubs('secret')], '{2,0}', 'blank the stubs of their words, and no others');
select is(pg_temp.problems(c), '{}', 'what is left is sound: ' || c) from unnest('{whole,apart,beside}'::text[]) c;
select is(
  fixture.damage(
    format('update kata_data.stub set salt = null, content = null where segment_id = %L and version = 3', :'whole'), 'beside'),
  '{stub at 5}', 'verify finds a stub that no erasure has blanked');
select kata.erase_message(:'whole', 3, 'a wish');
select is(pg_temp.stubs('tool 300'), 0::bigint, 'the erasure of the message blanks the others');
select kata.amend(:'beside', 3, '{"content": "secret again", "token_count": 100}');
select kata.elide(:'beside', 3, keep_tokens => 50);
select is(pg_temp.stubs('secret'), 1::bigint, 'an erased message has new words, and a stub of them');
select is(pg_temp.problems('beside'), '{}', 'which is sound');
select kata.request(:'beside', 1000, format => 'openai', model => 'm');
select kata.erase_message(:'beside', 3, 'another wish');
select is((select count(r.salt) from kata_data.request r where r.context_id = :'beside'), 0::bigint,
  'a second erasure forgets the body of a request that showed them');
select is(pg_temp.stubs('secret'), 0::bigint, 'and blanks the stub');
select is(pg_temp.problems(c), '{}', 'all is sound: ' || c) from unnest('{whole,apart,beside}'::text[]) c;

-- A late result

select is(
  (select row(e.detail, e.hint)::text
   from fixture.error(format('select kata.append_message(%L, ''tool'', ''final'', tool_call_id => ''a'')', :'matrix')) e),
  '("The call ""a"" has its result already, version 3.","Record a late or final result with kata.amend(context_id, 3, message).")',
  'a second result is an amendment of the first');

-- Searches

select fixture.context('found');
select fixture.id('found') as found \gset
select kata.append_message(:'found', 'user', 'where does the heron nest', 6);
select kata.append_message(:'found', 'assistant', 'the heron nests in willows', 7);
select kata.amend(:'found', 2, '{"content": "the stork nests on chimneys"}');
select is((select array_agg(s.version order by s.version) from kata.search(:'found', 'willows') s), null, 'old words are not found');
select is(
  (select row(s.version, s.headline)::text from kata.search(:'found', 'chimneys') s), '(2,"the stork nests on chimneys")',
  'those in force are');
select is((select s.headline from kata.search(:'found', 'willows', at => 2) s), 'the heron nests in willows', 'as of before, the old ones');
select is((select r.content from kata.recall(:'found', 'stork') r where r.score = 1), 'the stork nests on chimneys', 'a recall has them');
select kata.index_search(:'found');
select is((select array_agg(s.version order by s.version) from kata.search(:'found', 'willows') s), null,
  'nor are they found in the index');
select is((select s.version from kata.search(:'found', 'chimneys') s), 2::bigint, 'beside which the new ones are parsed');
select kata.undo(:'found', 3);
select is((select s.version from kata.search(:'found', 'willows') s), 2::bigint, 'an undo brings them back');

-- Thinking

select fixture.context('thought');
select fixture.id('thought') as thought \gset
select kata.append_message(:'thought', 'user', 'x', 1);
select kata.append_message(:'thought', 'assistant', null, 9, parts =>
  '[{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "yes"}]');
select kata.amend(:'thought', 2, '{"parts": [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "no"}]}');
select is((select w.parts from kata."window"(:'thought', 100) w where w.version = 2), '[{"type": "text", "text": "no"}]'::jsonb,
  'the thinking of an amended answer is not sent');

-- Damage

select is(fixture.damage(format(d.change, fixture.id('amended')), 'amended') @> array[d.problem], true, d.what)
from (values
  ('update kata_data.amendment a set content = content || ''.'' from kata_data.view_change c
    where c.change_id = a.change_id and c.segment_id = %L and c.version = 8', 'digest at 8', 'changed words are found'),
  ('update kata_data.amendment a set saved_tokens = 0 from kata_data.view_change c
    where c.change_id = a.change_id and c.segment_id = %L and c.version = 8', 'amendment at 8', 'words of another length, too'),
  ('delete from kata_data.amendment a using kata_data.view_change c
    where c.change_id = a.change_id and c.segment_id = %L and c.version = 10', 'amendment at 10', 'and words that are gone'),
  ('update kata_data.view_change c set amendments = ''{}'' where c.segment_id = %L and c.version = 10', 'view at 10',
    'an amendment that a view does not list is found')) d(change, problem, what);

-- An erasure follows what words were taken from: digests cover that, too.
select fixture.context('based'), fixture.context('taken');
select fixture.talk('based', 'user 5');
select kata.amend(fixture.id('based'), 1, '{"content": "secret", "token_count": 5}');
select kata.amend(fixture.id('based'), 1, '{"name": "ann"}');
select kata.merge(fixture.id('taken'), fixture.id('based'));
select is(pg_temp.problems(c), '{}', 'words that were taken on are sound: ' || c) from unnest('{based,taken}'::text[]) c;
select is(fixture.damage(format(d.change, fixture.id(d.context)), d.context) @> array[d.problem], true, d.what)
from (values
  ('based', 'update kata_data.amendment a set base_change_id = null from kata_data.view_change c
    where c.change_id = a.change_id and c.segment_id = %L and c.version = 3', 'digest at 3',
    'an amendment that no longer names the one whose words it took is found'),
  ('based', 'update kata_data.amendment a set base_change_id = 0 from kata_data.view_change c
    where c.change_id = a.change_id and c.segment_id = %L and c.version = 3', 'digest at 3', 'and one that names another'),
  ('taken', 'alter table kata_data.merge_origin disable trigger all;
    update kata_data.merge_origin set amendment_segment_id = null, amendment_version = null where segment_id = %L', 'digest at 1',
    'and a copy that does not name the amendment whose words it has')) d(context, change, problem, what);

-- Messages in other words are counted one by one, the others by running totals

select fixture.context('mostly', '{"preserve_recent_count": 0, "min_gain_tokens": 0}') as mostly \gset
select fixture.talk('mostly', 'system 10, user 5, assistant 7 calls a, tool 30 answers a, user 9, assistant 6, user 8');
select kata.amend(:'mostly', 1, '{"content": "new rules", "token_count": 14}');
select is(pg_temp.windowed('mostly', 37), '1a 14 14, 5 9 23, 6 6 29, 7 8 37', 'an amended preamble counts as it is shown');
select is(pg_temp.windowed('mostly', 36), '1a 14 14, 6 6 20, 7 8 28', 'to the token');
select kata.amend(:'mostly', 4, '{"content": "late", "token_count": 3}');
select is(pg_temp.windowed('mostly', 36), '1a 14 14, 6 6 20, 7 8 28', 'an amendment below the start counts for nothing');
select is(
  pg_temp.windowed('mostly', 47), '1a 14 14, 3 7 21, 4a 3 24, 5 9 33, 6 6 39, 7 8 47', 'one in the window for what it shows');
create function pg_temp.stray(context text) returns table (at bigint, version bigint)
language sql stable
as $$
  select c.version, m.version
  from kata_data.view_change c
  cross join lateral kata.state_at(c.segment_id, c.version) m
  where c.segment_id = fixture.id(context)
    and m.kind in ('stub', 'amended')
    and not coalesce(c.reworded, '{}') @> m.version
$$;
select is(
  (select c.reworded from kata_data.change_at(:'mostly', 9) c), '{[1,2),[4,5)}', 'a view knows which messages have other words');
select fixture.context('varied', '{"preserve_recent_count": 0, "min_gain_tokens": 0}') as varied \gset
select fixture.talk('varied', 'user 5, assistant 7 calls a, tool 300 answers a, user 9, assistant 6, user 8');
select kata.elide(:'varied', 3, keep_tokens => 20), kata.pin(:'varied', 2), kata.amend(:'varied', 5, '{"content": "x"}'),
  kata.unpin(:'varied', 2);
select summary_version from kata.begin_compaction(:'varied', 'summarize', force => true) b
cross join lateral kata.commit_compaction(b.compaction_id, 'so far', 1);
select kata.amend(:'varied', 4, '{"content": "y"}'), kata.pin(:'varied', 3), kata.undo(:'varied', 13), kata.undo(:'varied', 11),
  kata.delete_messages(:'varied', 5), kata.undo(:'varied', 16), kata.rewind(:'varied', 12), kata.pin(:'varied', 4);
select is_empty($$select * from pg_temp.stray('varied')$$, 'whatever comes and goes');
select is(
  kata_data.reworded_after(v, c, '{[1,1000)}'), '{[1,804),[805,806)}'::int8multirange
    + (select range_agg(int8range(n, n + 1)) from generate_series(807, 1001, 2) n), 'at most 100 ranges are kept apart')
from (
  select (kata_data.empty_view()).*) e
cross join lateral (
  select (jsonb_populate_record(kata_data.empty_view(), jsonb_build_object('visible', '{[1,2000)}', 'elisions', array[1],
    'reworded', (select range_agg(int8range(n, n + 1)) from generate_series(1, 999, 2) n)))).*) v
cross join lateral (select (kata_data.new_change('amendment', '{[1001,1002)}')).*) c;
select is(kata_data.reworded_after(kata_data.empty_view(), kata_data.new_change('pin', '{[1,2)}'), '{}'), null, 'none for none');

select * from finish();
rollback;
