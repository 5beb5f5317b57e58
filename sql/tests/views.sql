-- A view change hides, shortens or keeps; it never edits. Every read as of a version returns the same as it did at that version.

begin;
select plan(286);

create function pg_temp.act(context text, call text) returns text
language plpgsql volatile
as $$
declare
  v_version bigint;
begin
  execute format('select kata.%s', replace(call, ':id', quote_literal(fixture.id(context)))) into v_version;
  return format('%s: %s', v_version, fixture.seen(context));
end
$$;
comment on function pg_temp.act(text, text) is 'Calls a function of a context; returns the version that it took and the view after it.';

-- View changes of every kind, one after another
--
-- A view is written as fixture.seen writes it, versions in reading order: 11= is a summary, 6~ is shortened, 8* is pinned.

select fixture.context('edited', '{"preserve_recent_count": 2}') as edited \gset
select fixture.talk('edited', 'system 10, user 20, assistant 30 calls a b, tool 40 answers b, user 50');
select kata.append_message(:'edited', 'tool', repeat('größer ', 200), 300, 'a');
select fixture.talk('edited', 'assistant 60, user 70 pinned, assistant 80');
create temporary table step (context text, version bigint, call text, seen text, what text);
insert into step values
  ('edited', 10, 'delete_messages(:id, 5)', '1 2 3 4 6 7 8* 9', 'a message that is deleted is not in the view'),
  ('edited', 11, 'pin(:id, 4)', '1 2 3* 4* 6* 7 8* 9', 'a pin widens to the whole group'),
  ('edited', 12, 'pin(:id, 7)', '1 2 3* 4* 6* 7* 8* 9', 'a message is a group of its own'),
  ('edited', 13, 'unpin(:id, 6)', '1 2 3 4 6 7* 8* 9', 'so does an unpin'),
  ('edited', 14, 'elide(:id, 1, 13)', '1 2 3 4 6~ 7* 8* 9', 'a long result is shortened where it stands'),
  ('edited', 15, 'undo(:id, 10)', '1 2 3 4 5 6~ 7* 8* 9', 'the undo of a deletion brings back, whatever came after it'),
  ('edited', 16, 'undo(:id, 15)', '1 2 3 4 6~ 7* 8* 9', 'the undo of the undo is redo'),
  ('edited', 17, 'undo(:id, 14)', '1 2 3 4 6 7* 8* 9', 'the undo of an elision shows whole'),
  ('edited', 18, 'undo(:id, 16)', '1 2 3 4 5 6 7* 8* 9', 'the undo of a redo undoes again'),
  ('edited', 19, 'elide(:id, 6, keep_tokens => 200)', '1 2 3 4 5 6~ 7* 8* 9', 'a message that is whole again can be shortened again'),
  ('edited', 20, 'elide(:id, 4, 6, 30)', '1 2 3 4~ 5 6~ 7* 8* 9', 'a shortened result can be shortened further, beside another'),
  ('edited', 21, 'undo(:id, 19)', '1 2 3 4~ 5 6~ 7* 8* 9', 'the undo of the longer of two stubs leaves the shorter'),
  ('edited', 22, 'undo(:id, 20)', '1 2 3 4 5 6 7* 8* 9', 'the undo of both leaves the result'),
  ('edited', 23, 'undo(:id, 21)', '1 2 3 4 5 6~ 7* 8* 9', 'the first stub can come back alone'),
  ('edited', 24, 'unpin(:id, 8)', '1 2 3 4 5 6~ 7* 8 9', 'a pin that came with the message can be taken off'),
  ('edited', 25, 'undo(:id, 24)', '1 2 3 4 5 6~ 7* 8* 9', 'and is back by undo'),
  ('edited', 26, 'delete_messages(:id, 7, 8)', '1 2 3 4 5 6~ 9', 'what is pinned can be deleted'),
  ('edited', 27, 'undo(:id, 12)', '1 2 3 4 5 6~ 9', 'the undo of a pin of what was deleted brings nothing back'),
  ('edited', 28, 'undo(:id, 26)', '1 2 3 4 5 6~ 7 8* 9', 'what comes back has the pin that it has by now'),
  ('edited', 29, 'delete_messages(:id, 4)', '1 2 5 7 8* 9', 'a deletion widens to the whole group'),
  ('edited', 30, 'delete_messages(:id, 1, 2)', '5 7 8* 9', 'the preamble can be deleted'),
  ('edited', 31, 'undo(:id, 29)', '3 4 5 6~ 7 8* 9', 'a deleted result that comes back is short if it was'),
  ('edited', 32, 'undo(:id, 30)', '1 2 3 4 5 6~ 7 8* 9', 'the preamble comes back');
select is(pg_temp.act(s.context, s.call), format('%s: %s', s.version, s.seen), s.what)
from (select s.* from step s where s.context = 'edited' order by s.version) s;
select is(fixture.seen(s.context, s.version), s.seen, format('as of version %s: %s', s.version, s.what))
from step s
where s.context = 'edited'
order by s.version;
select is(array(select fixture.contradictions('edited')), '{}', 'all reads agree, at every version, and in forks made there');

-- What is deleted, and what is not

select is(array(select version from kata.state_at(:'edited', 14, 'raw')), '{1,2,3,4,6,7,8,9}', 'what is deleted is not listed as raw');
select is(array(select version from kata.state_at(:'edited', 14, 'all')), '{1,2,3,4,5,6,7,8,9}', 'it is under all');
select is((select content from kata.get_message(:'edited', 5)), 'user 50', 'and under its version');
select is(
  (select row(message_count, raw_tokens, view_tokens)::text from kata.usage(:'edited', 10)), '(9,660,610)',
  'deleted messages count, but not in the view');
select is(
  (select row(kind, content, token_count)::text from kata.get_message(:'edited', 6)),
  (select row('message', repeat('größer ', 200), 300)::text), 'a shortened result is whole under its version');
select is(
  (select content from kata.state_at(:'edited', 19) where version = 6),
  (select content from kata.state_at(:'edited', 32) where version = 6),
  'a stub that is in force again is the same');
select matches(
  (select content from kata.state_at(:'edited', 14) where version = 6),
  '^\[shortened, 300 tokens; whole: version 6\]\n(größer )+(g|gr|grö|größ|größe|größer)?…$',
  'a stub says what it is short for, and is cut between characters');
select cmp_ok(
  (select token_count from kata.state_at(:'edited', s.at) where version = 6), '<=', s.keep, format('it takes at most %s tokens', s.keep))
from (values (14, 100), (19, 200), (20, 30)) s(at, keep);
select is(
  array(select h.kind || ' ' || h.version from kata.history(:'edited', 21, 12) h),
  '{elision 20,elision 19,undo 18,undo 17,undo 16,undo 15,elision 14,unpin 13,pin 12,pin 11,deletion 10,message 9}',
  'history lists view changes by what they are');
select is((select preview from kata.history(:'edited', 16, 1)), 'version 10', 'and of an undo what it undoes');
select is(array(select d::text from kata.diff_versions(:'edited', 20, 20) d), '{}', 'a version does not differ from itself');
select is(
  array(select row(d.change, d.version, d.kind)::text from kata.diff_versions(:'edited', 13, 14) d), '{"(shortened,6,stub)"}',
  'an elision shortens');
select is(
  array(select row(d.change, d.version, d.kind)::text from kata.diff_versions(:'edited', 14, 13) d), '{"(restored,6,message)"}',
  'backwards it restores');
select is(
  jsonb_path_query_array(kata.prompt(:'edited', 100000, at => 29), '$[*].content'),
  '["system 10", "user 20", "user 50", "assistant 60", "user 70 pinned", "assistant 80"]', 'a prompt leaves out what is deleted');
select is(
  jsonb_path_query_array(
    kata.prompt(:'edited', 100000, at => 14), '$[*] ? (@.role == "tool").content'
  )::text like '["tool 40 answers b", "[shortened, 300 tokens; whole: version 6]%',
  true, 'and shows stubs behind their call');

-- Who expects a version

select fixture.context('eager') as eager \gset
select fixture.talk('eager', 'user 1, assistant 2, user 3');
select kata.pin(:'eager', 2);
select is(kata.append_message(:'eager', 'assistant', 'x', 4, expected_version => 3), 5::bigint, 'a pin does not make a writer fail');
select kata.unpin(:'eager', 2);
select is(kata.append_message(:'eager', 'user', 'x', 8, expected_version => 6), 7::bigint, 'the version of a view change can be expected');
select kata.delete_messages(:'eager', 3);
select throws_ok(
  format($$select kata.append_message(%L, 'user', 'x', expected_version => 7)$$, :'eager'), 'KC003', null, 'a deletion does');
select is(kata.append_message(:'eager', 'user', 'x', 16, expected_version => 8), 9::bigint, 'unless it is known');
select is(
  (select row(version, message_count, raw_tokens, view_tokens)::text from kata.get_context(:'eager')), '(9,6,34,31)',
  'versions of view changes are not messages');

-- What is refused, and what then stays

create temporary table refused (call text, code text, what text);
insert into refused values
  ('delete_messages(:id, 0)', 'KC002', 'version 0 is not a message'),
  ('delete_messages(:id, 33)', 'KC002', 'a version that is not there cannot be deleted'),
  ('delete_messages(:id, 9, 33)', 'KC002', 'nor a range that ends there'), ('delete_messages(:id, 9, 8)', 'KC017', 'nor an empty range'),
  ('delete_messages(:id, null)', 'KC017', 'nor nothing'),
  ('delete_messages(:id, 10, 32)', 'KC017', 'a range of view changes holds no message'),
  ('elide(:id, 5)', 'KC017', 'a message that is not a result is not shortened'),
  ('elide(:id, 1, 32, 300)', 'KC017', 'a result that is short enough is not shortened'),
  ('elide(:id, 6, keep_tokens => 200)', 'KC017', 'a result that is shortened to this is not shortened again'),
  ('elide(:id, 6, keep_tokens => -1)', 'KC017', 'less than nothing cannot be kept'),
  ('elide(:id, 6, keep_tokens => null)', 'KC017', 'how much is kept must be said'),
  ('elide(:id, 33)', 'KC002', 'what is not there is not shortened'), ('elide(:id, 0, 6)', 'KC002', 'ranges begin at 1'),
  ('pin(:id, 8)', 'KC017', 'what is pinned is not pinned again'), ('pin(:id, 0)', 'KC002', 'version 0 is not pinned'),
  ('pin(:id, 12)', 'KC002', 'a view change is not pinned'),
  ('pin(:id, 33)', 'KC002', 'nor what is not there'), ('pin(:id, null)', 'KC002', 'nor nothing'),
  ('unpin(:id, 9)', 'KC017', 'what is not pinned is not unpinned'), ('unpin(:id, 12)', 'KC002', 'nor is a view change'),
  ('undo(:id, 9)', 'KC017', 'a message is not undone'), ('undo(:id, 0)', 'KC017', 'nor version 0'),
  ('undo(:id, 33)', 'KC017', 'nor what is not there'), ('undo(:id, null)', 'KC017', 'nor nothing'),
  ('undo(:id, 10)', 'KC017', 'what is undone is not undone again'), ('undo(:id, 16)', 'KC017', 'nor an undo that is undone');
select throws_ok(format('select kata.%s', replace(r.call, ':id', quote_literal(:'edited'))), r.code, null, r.what) from refused r;
select results_eq(
  format('select * from fixture.error(%L)', format('select kata.undo(%L, 10)', :'edited')),
  $$values (
      'KC017', 'version 10 is undone already', 'A later undo in force reverses it.', 'Undo that undo to redo it; kata.history lists both.'
    )$$,
  'it is said how to redo');
select is((select version from kata.get_context(:'edited')), 32::bigint, 'what is refused takes no version');
select throws_ok(
  format('select kata.%s', replace(c.call, ':id', '''00000000-0000-7000-8000-000000000000''')), 'KC001', null,
  'an unknown context has no view: ' || c.call)
from (values ('delete_messages(:id, 1)'), ('elide(:id, 1)'), ('pin(:id, 1)'), ('unpin(:id, 1)'), ('undo(:id, 1)')) c(call);
select fixture.context('shelved') as shelved \gset
select fixture.talk('shelved', 'user 1, user 2 pinned');
select kata.delete_messages(:'shelved', 1);
select kata.archive_context(:'shelved');
select throws_ok(
  format('select kata.%s', replace(c.call, ':id', quote_literal(:'shelved'))), 'KC006', null,
  'an archived context is not changed: ' || c.call)
from (values ('delete_messages(:id, 2)'), ('elide(:id, 2)'), ('pin(:id, 1)'), ('unpin(:id, 2)'), ('undo(:id, 3)')) c(call);
select is(fixture.seen('shelved'), '2*', 'it is read as ever');
select fixture.context('asking') as asking \gset
select fixture.talk('asking', 'user 1, assistant 2 calls a b, tool 300 answers a, user 4');
select throws_ok(format('select kata.delete_messages(%L, %s)', :'asking', r.range), 'KC005', null, r.what)
from (values ('2', 'a call that is open is not deleted'), ('3', 'nor a result beside it'), ('1, 4', 'nor a range with it')) r(range, what);
select is(pg_temp.act('asking', c.call), c.told, c.what)
from (
  select c.call, c.told, c.what
  from (values
    (1, 'elide(:id, 3)', '5: 1 2 3~ 4', 'a result is shortened while another is awaited'),
    (2, 'pin(:id, 2)', '6: 1 2* 3~* 4', 'a group can be pinned while a call is open, and a short message stays short'),
    (3, 'append_message(:id, ''tool'', ''late'', 8, ''b'')', '7: 1 2* 3~* 4 7*', 'what joins a pinned group is pinned'),
    (4, 'delete_messages(:id, 7)', '8: 1 4', 'once all is answered the group can be deleted'),
    (5, 'undo(:id, 8)', '9: 1 2* 3~* 4 7*', 'and is back as it was'),
    (6, 'undo(:id, 6)', '10: 1 2 3~ 4 7', 'a pin that was made before the group was whole is undone for all of it')) c(place, call, told,
    what)
  order by c.place) c;
select is(array(select fixture.contradictions('asking')), '{}', 'all reads of it agree');

-- Results without a call, and of parts

select fixture.context('loose', '{"strict": false}') as loose \gset
select kata.append(:'loose', jsonb_build_array(
  jsonb_build_object('role', 'user', 'content', 'u', 'token_count', 5),
  jsonb_build_object('role', 'tool', 'tool_call_id', 'x', 'content', repeat('long ', 300), 'token_count', 400),
  jsonb_build_object('role', 'assistant', 'content', 'a', 'token_count', 5)));
select is(pg_temp.act('loose', 'elide(:id, 2)'), '4: 1 2~ 3', 'a result without a call can be shortened');
select is(array(select fixture.contradictions('loose')), '{}', 'and then takes no more of a budget than it shows');
select fixture.context('parts') as parts \gset
select kata.append(:'parts', jsonb_build_array(
  jsonb_build_object('role', 'assistant', 'tool_calls', fixture.calls('a'), 'token_count', 5),
  jsonb_build_object(
    'role', 'tool', 'tool_call_id', 'a', 'content', null, 'parts', '[{"type": "image", "data": "…"}]'::jsonb, 'token_count', 1500)));
select is(pg_temp.act('parts', 'elide(:id, 2)'), '3: 1 2~', 'a result without text can be shortened');
select is(
  (select row(content, parts)::text from kata.state_at(:'parts') where version = 2), '("[shortened, 1500 tokens; whole: version 2]",)',
  'to the note of where it is');
select is(array(select fixture.contradictions('parts')), '{}', 'all reads of it agree');

-- Compactions

select fixture.context('long', '{"preserve_recent_count": 2, "min_gain_tokens": 0}') as long \gset
select fixture.talk(
  'long',
  'system 10, user 20, assistant 30 calls a, tool 200 answers a, assistant 40, user 50, system 60, assistant 70, user 80, assistant 90');
select is(fixture.compact('long'), 11::bigint, 'a compaction takes a version');
select is(fixture.seen('long'), '1 11= 7 9 10', 'a summary reads where the lowest version was that it covers');
insert into step values
  ('long', 12, 'pin(:id, 3)', '1 11= 3* 4* 7 9 10', 'what is covered comes back to its place when it is pinned'),
  ('long', 13, 'unpin(:id, 4)', '1 11= 3 4 7 9 10', 'and stays when it is not pinned any more'),
  ('long', 14, 'elide(:id, 1, 13)', '1 11= 3 4~ 7 9 10', 'a result can be shortened beside a summary'),
  ('long', 15, 'undo(:id, 12)', '1 11= 7 9 10', 'the undo of the pin takes it back'),
  ('long', 16, 'undo(:id, 11)', '1 2 3 4~ 5 6 7 8 9 10', 'the undo of a compaction brings back what it covered, short if it is'),
  ('long', 17, 'delete_messages(:id, 5, 6)', '1 2 3 4~ 7 8 9 10', 'what is back can be deleted'),
  ('long', 18, 'undo(:id, 16)', '1 11= 7 9 10', 'a compaction is redone'),
  ('long', 19, 'undo(:id, 18)', '1 2 3 4~ 7 8 9 10', 'what was deleted meanwhile stays deleted'),
  ('long', 20, 'undo(:id, 19)', '1 11= 7 9 10', 'any number of times'),
  ('long', 21, 'delete_messages(:id, 2)', '1 11= 7 9 10', 'what is covered can be deleted'),
  ('long', 22, 'delete_messages(:id, 11)', '1 7 9 10', 'a summary, too'),
  ('long', 23, 'undo(:id, 22)', '1 11= 7 9 10', 'and comes back'),
  ('long', 24, 'pin(:id, 8)', '1 11= 7 8* 9 10', 'a single message comes back between others');
select is(pg_temp.act(s.context, s.call), format('%s: %s', s.version, s.seen), s.what)
from (select s.* from step s where s.context = 'long' order by s.version) s;
select is(fixture.seen(s.context, s.version), s.seen, format('as of version %s: %s', s.version, s.what))
from step s
where s.context = 'long'
order by s.version;
select is(
  array(select format('%s in %s', m.version, m.compacted_into) from kata.state_at(:'long', 11, 'all') m where m.compacted_into is not null),
  '{"2 in 11","3 in 11","4 in 11","5 in 11","6 in 11","8 in 11"}', 'what is covered says by what');
select is((select compacted_into from kata.get_message(:'long', 2)), 11::bigint, 'so does a message');
select is((select compacted_into from kata.get_message(:'long', 8)), null, 'but not one that is back');
select is(
  (select row(role, content, token_count, kind, "position")::text from kata.get_message(:'long', 11)), '(user,"so far",5,summary,2)',
  'a summary is read by its version');
select is(
  (select w.reason || w.ordinal from kata."window"(:'long', 100000) w where w.version = 11), 'summary2',
  'in a window it follows the preamble');
select is(
  (select w.reason from kata."window"(:'long', 100000) w where w.version = 7), 'recent',
  'a system message after the preamble stays what it is');
select is(array(select fixture.contradictions('long')), '{}', 'all reads of it agree, at every version');

-- What a later compaction covers

select fixture.context('deep', '{"preserve_recent_count": 2, "min_gain_tokens": 0}') as deep \gset
select fixture.talk(
  'deep', 'system 10, user 10, assistant 10, user 10, assistant 10, user 10, assistant 10, user 10, assistant 10, user 10');
select is(fixture.compact('deep', 'first'), 11::bigint, 'a first compaction');
select fixture.talk('deep', 'assistant 10, user 10, assistant 10, user 10');
select is(fixture.seen('deep'), '1 11= 9 10 12 13 14 15', 'leaves the newest messages');
select is(fixture.compact('deep', 'second'), 16::bigint, 'a second one');
select is(fixture.seen('deep'), '1 16= 14 15', 'absorbs its summary');
select is(
  array(
    select format('%s in %s', m.version, m.compacted_into) from kata.state_at(:'deep', null, 'all') m where m.compacted_into is not null),
  (select array_agg(format('%s in 16', v.version)) from generate_series(2, 13) v(version)), 'and what that covered');
select is(
  (select row(content, "position", compacted_into)::text from kata.get_message(:'deep', 11)), '(first,2,16)',
  'a summary that was absorbed is still read');
select results_eq(
  format('select * from fixture.error(%L)', format('select kata.undo(%L, 11)', :'deep')),
  $$values (
      'KC021', 'version 11 is superseded by the compaction at version 16',
      'That compaction covers messages that the undo would bring back or take away: {[2,9),[11,12)}.', 'Undo version 16 first.')$$,
  'a compaction whose summary was absorbed is not undone');
select fixture.fork('deep', 11, 'deep at 11') as deep_11 \gset
select fixture.fork('deep', 16, 'deep at 16') as deep_16 \gset
select is(pg_temp.act('deep', s.call), s.told, s.what)
from (
  select s.call, s.told, s.what
  from (values
    (1, 'undo(:id, 16)', '17: 1 11= 9 10 12 13 14 15', 'the newest compaction is undone'),
    (2, 'undo(:id, 11)', '18: 1 2 3 4 5 6 7 8 9 10 12 13 14 15', 'then the one before'),
    (3, 'undo(:id, 17)', '19: 1 2 3 4 5 6 7 8 16= 14 15', 'the newest alone is redone for what it covered itself'),
    (4, 'undo(:id, 18)', '20: 1 16= 14 15', 'and for the rest when the one before is'),
    (5, 'delete_messages(:id, 12, 13)', '21: 1 16= 14 15', 'something inside is deleted'),
    (6, 'undo(:id, 16)', '22: 1 11= 9 10 14 15', 'and stays deleted')) s(place, call, told, what)
  order by s.place) s;
select is(fixture.seen('deep at 11'), '1 11= 9 10', 'a fork has the view of its fork version, whatever its parent undoes');
select is(fixture.seen('deep at 16'), '1 16= 14 15', 'one after a compaction, too');
select is(pg_temp.act('deep at 16', 'undo(:id, 16)'), '17: 1 11= 9 10 12 13 14 15', 'a fork undoes what it inherited');
select is(pg_temp.act('deep at 16', 'undo(:id, 17)'), '18: 1 16= 14 15', 'and redoes it');
select is(pg_temp.act('deep at 11', 'undo(:id, 11)'), '12: 1 2 3 4 5 6 7 8 9 10', 'each for itself');
select is(fixture.seen('deep', 16), '1 16= 14 15', 'the parent''s past is what it was');
select is(fixture.compact('deep at 11', 'third'), 13::bigint, 'a fork compacts');
select is(fixture.seen('deep at 11'), '1 13= 9 10', 'what it inherited');
select is(fixture.seen('deep'), '1 11= 9 10 14 15', 'and its parent sees nothing of it');
select kata.delete_context(:'deep');
select is(fixture.seen('deep at 16'), '1 16= 14 15', 'nor does it matter to a fork that its parent is deleted');
select kata.restore_context(:'deep');
select is(array(select fixture.contradictions(c.name)), '{}', 'all reads agree: ' || c.name)
from (values ('deep'), ('deep at 11'), ('deep at 16')) c(name);

-- Without a summary

select fixture.context('dropped', '{"preserve_recent_count": 2, "min_gain_tokens": 0}') as dropped \gset
select fixture.talk(
  'dropped', 'system 10, user 10, assistant 10, user 10, assistant 10, user 10, assistant 10, user 10, assistant 10, user 10');
select is(fixture.compact('dropped', strategy => 'drop'), 11::bigint, 'messages can leave without a summary');
select is(fixture.seen('dropped'), '1 9 10', 'then nothing replaces them');
select is((select compacted_into from kata.get_message(:'dropped', 2)), null, 'and nothing covers them');
select fixture.talk('dropped', 'assistant 10, user 10, assistant 10, user 10');
select is(fixture.compact('dropped'), 16::bigint, 'a summary covers what came later');
select is(fixture.seen('dropped'), '1 16= 14 15', 'and reads there');
select is(pg_temp.act('dropped', 'undo(:id, 11)'), '17: 1 2 3 4 5 6 7 8 16= 14 15', 'what was dropped comes back before it');
select is(array(select fixture.contradictions('dropped')), '{}', 'all reads of it agree');
select fixture.context('sliding', '{"preserve_recent_count": 2, "min_gain_tokens": 0}') as sliding \gset
select fixture.talk('sliding', 'system 10, user 10, assistant 10, user 10');
select fixture.talk('sliding', 'assistant 10, user 10'), fixture.compact('sliding', strategy => 'drop') from generate_series(1, 20);
select is((select count(*) from kata.state_at(:'sliding')), 3::bigint, 'a window can slide for long');
select cmp_ok(
  (select kata_data.piece_count(kata_data.view_at(:'sliding', (select version from kata.get_context(:'sliding'))))), '<=', 3::bigint,
  'and its view does not fall to pieces');

-- Several summaries

select fixture.context('several', '{"preserve_recent_count": 2, "min_gain_tokens": 0}') as several \gset
select fixture.talk(
  'several', 'system 10, user 10, assistant 10, user 10, assistant 10, user 10, assistant 10, user 10, assistant 10, user 10');
select fixture.compact('several', 'one');
select is(pg_temp.act('several', 'undo(:id, 11)'), '12: 1 2 3 4 5 6 7 8 9 10', 'a compaction is undone');
select is(pg_temp.act('several', 'delete_messages(:id, 2, 10)'), '13: 1', 'everything is deleted');
select fixture.talk('several', 'user 10, assistant 10, user 10, assistant 10, user 10, assistant 10');
select is(fixture.compact('several', 'two'), 20::bigint, 'what came later is compacted');
select is(fixture.seen('several'), '1 20= 18 19', 'by itself');
select is(pg_temp.act('several', 'undo(:id, 12)'), '21: 1 11= 20= 18 19', 'a redone compaction is beside it');
select is(
  array(select w.version from kata."window"(:'several', b.budget) w where w.kind = 'summary'), b.shown,
  format('a budget of %s shows the summaries %s', b.budget, b.shown))
from (values (40, '{11,20}'::bigint[]), (39, '{20}'), (30, '{}'), (29, '{20}'), (24, '{}')) b(budget, shown);
select fixture.talk('several', 'user 10, assistant 10, user 10');
select b.compaction_id as begun, b.previous_summary as summaries from kata.begin_compaction(:'several', 'summarize', force => true) b \gset
select is(:'summaries'::text, E'one\n\ntwo', 'the next one is given both');
select is((select merged_summaries from kata.compactions(:'several') where compaction_id = :'begun'), '{11,20}', 'says which');
select is((select summary_version from kata.commit_compaction(:'begun', 'three', 5)), 25::bigint, 'and absorbs both');
select is(fixture.seen('several'), '1 25= 23 24', 'so that one covers all');
select is(array(select fixture.contradictions('several')), '{}', 'all reads of it agree');

-- Rows of a window are numbered and add up, whatever took versions among them

select fixture.context('numbered', '{"preserve_recent_count": 2, "min_gain_tokens": 0}') as numbered \gset
select fixture.talk('numbered', 'system 10');
select kata.pin(:'numbered', 1), kata.unpin(:'numbered', 1);
select fixture.talk('numbered', 'system 20, user 30, assistant 40, user 50, assistant 60');
select is(fixture.compact('numbered'), 9::bigint, 'a preamble holds changes, and something is compacted');
select fixture.talk('numbered', 'user 70, assistant 80');
select is(pg_temp.act('numbered', 'pin(:id, 5)'), '12: 1 4 5* 9= 7 8 10 11', 'a pin takes a message out of its summary');
select is(pg_temp.act('numbered', 'pin(:id, 6)'), '13: 1 4 5* 6* 7 8 10 11', 'a summary that covers no message leaves');
select is(pg_temp.act('numbered', 'undo(:id, 13)'), '14: 1 4 5* 9= 7 8 10 11', 'and comes back with what it covers');
select is(pg_temp.act('numbered', 'undo(:id, 14)'), '15: 1 4 5* 6* 7 8 10 11', 'or goes');
select kata.unpin(:'numbered', 5), kata.unpin(:'numbered', 6);
select kata.pin(:'numbered', 10), kata.unpin(:'numbered', 10) from generate_series(1, 6);
select fixture.talk('numbered', 'user 90, assistant 100');
select is(array(select fixture.contradictions('numbered')), '{}', 'all reads of it agree');

select fixture.context('reordered', '{"preserve_recent_count": 2, "min_gain_tokens": 0}') as reordered \gset
select fixture.talk('reordered', 'system 10, user 20, assistant 30, user 40, assistant 50, user 60, assistant 70');
select kata.delete_messages(:'reordered', 2, 3);
select is(fixture.compact('reordered', 'later', 6), 9::bigint, 'what came later is compacted');
select is(pg_temp.act('reordered', 'undo(:id, 9)'), '10: 1 4 5 6 7', 'and shown again');
select is(pg_temp.act('reordered', 'delete_messages(:id, 4, 7)'), '11: 1', 'deleted');
select is(pg_temp.act('reordered', 'undo(:id, 8)'), '12: 1 2 3', 'what came first comes back');
select fixture.talk('reordered', 'user 80, assistant 90');
select is(fixture.compact('reordered', 'first', 7), 15::bigint, 'and is compacted by itself');
select kata.undo(:'reordered', 11), kata.undo(:'reordered', 10);
select is(fixture.seen('reordered'), '1 15= 9= 6 7 13 14', 'the newer summary reads first');
select is(array(select fixture.contradictions('reordered')), '{}', 'all reads of it agree');

-- What a pin was needed for

select fixture.context('again', '{"preserve_recent_count": 2, "min_gain_tokens": 0}') as again \gset
select fixture.talk(
  'again', 'system 10, user 10, assistant 10, user 10, assistant 10, user 10, assistant 10, user 10, assistant 10, user 10');
select fixture.compact('again', 'one');
select fixture.talk('again', 'assistant 10, user 10, assistant 10, user 10');
select fixture.compact('again', 'two');
select is(pg_temp.act('again', 'pin(:id, 5)'), '17: 1 16= 5* 14 15', 'a message is taken out of two summaries');
select is(pg_temp.act('again', 'unpin(:id, 5)'), '18: 1 16= 5 14 15', 'and need not stay');
select fixture.talk('again', 'assistant 10, user 10, assistant 10, user 10');
select is(fixture.compact('again', 'three'), 23::bigint, 'then it can be covered again');
select is(fixture.seen('again'), '1 23= 21 22', 'with all that came since');
select throws_ok(format('select kata.undo(%L, 17)', :'again'), 'KC021', null, 'its pin cannot be undone, it is covered');
select throws_ok(format('select kata.undo(%L, 18)', :'again'), 'KC021', null, 'nor the end of its pin');
select is(array(select fixture.contradictions('again')), '{}', 'all reads of it agree');

-- A summary that was undone

select fixture.context('retold', '{"preserve_recent_count": 1, "min_gain_tokens": 0}') as retold \gset
select fixture.talk('retold', 'assistant 10, assistant 10, user 10');
select is(fixture.compact('retold', 'first'), 4::bigint, 'what was compacted');
select is(kata.undo(:'retold', 4), 5::bigint, 'is back');
select fixture.talk('retold', 'assistant 10, user 10');
select is(fixture.compact('retold', 'second'), 8::bigint, 'and is compacted again, with what came since');
select is(
  (
    select array_agg(row(m.version, m.compacted_into)::text order by m.version)
    from kata.messages(:'retold', visibility => 'all') m
    where m.kind = 'summary'),
  '{"(4,)","(8,)"}', 'the new summary does not cover the undone one');
select is(fixture.seen('retold'), '8= 7', 'in whose place it reads');
select is(array(select fixture.contradictions('retold')), '{}', 'all reads of it agree');

-- A view that falls to pieces

select fixture.context('pieces', '{"preserve_recent_count": 0, "min_gain_tokens": 0}') as pieces \gset
select kata.append(
  :'pieces',
  (
    select jsonb_agg(jsonb_build_object('role', 'assistant', 'content', 'x', 'token_count', 1, 'pinned', n % 2 = 0))
    from generate_series(1, 1010) n));
select is(
  (select e.code || ' ' || e.message from fixture.error($$select fixture.compact('pieces', 'short', 1)$$) e),
  'KC017 the view would fall into 1011 pieces', 'a view of more than 1,000 pieces is refused');
select is(kata.unpin(:'pieces', 10), 1011::bigint, 'what makes fewer is not');
select fixture.context('pinned') as pinned \gset
select kata.append(
  :'pinned',
  (
    select jsonb_agg(jsonb_build_object('role', 'user', 'content', 'x', 'token_count', 1, 'pinned', n <= 1100))
    from generate_series(1, 1101) n));
select throws_ok(format('select kata.pin(%L, 1101)', :'pinned'), 'KC017', null, 'pins have their end');
select is(kata.unpin(:'pinned', 1), 1102::bigint, 'too many that were appended can be taken off');
select is(kata.delete_messages(:'pinned', 2), 1103::bigint, 'or deleted');
select is(
  (select count(*) from kata."window"(:'pinned', 2000) w where w.reason = 'pinned'), 1098::bigint, 'the rest are kept all the same');
select fixture.context('shortened') as shortened \gset
select fixture.talk('shortened', 'assistant 5 calls a b, tool 500 answers a, tool 500 answers b, user 1');
select kata.append(
  :'shortened',
  (select jsonb_agg(jsonb_build_object('role', 'user', 'content', 'x', 'token_count', 1, 'pinned', true)) from generate_series(1, 998)));
select is(kata.elide(:'shortened', 2), 1003::bigint, 'an elision is one piece more');
select is(
  (select e.code || ' ' || e.message from fixture.error($$select kata.elide(fixture.id('shortened'), 3)$$) e),
  'KC017 the view would fall into 1001 pieces', 'elisions have their end, too');

select fixture.context('short', '{"strict": false, "preserve_recent_count": 1, "min_gain_tokens": 0}') as short \gset
select kata.append(
  :'short',
  (
    select jsonb_agg(jsonb_build_object('role', 'tool', 'tool_call_id', 'x', 'content', repeat('long ', 20), 'token_count', 200))
    from generate_series(1, 1000) n));
select max(kata.elide(:'short', n, n)) from generate_series(1, 999) n;
select is(
  (select e.code || ' ' || e.message from fixture.error(format('select kata.elide(%L, 1000)', :'short')) e),
  'KC017 the view would fall into 1001 pieces', 'elisions have their end, too');
select is(fixture.compact('short'), 2000::bigint, 'a compaction mends that');
select is(kata.elide(:'short', 1000), 2001::bigint, 'elisions of what it covers are done with');

-- Between contexts

select fixture.context('left', '{"preserve_recent_count": 2, "min_gain_tokens": 0}') as left \gset
select fixture.talk('left', 'system 10, user 10, assistant 10');
select fixture.fork('left', 3, 'right') as right \gset
select fixture.talk('right', 'user 10, assistant 10 calls a, tool 300 answers a, user 10, assistant 10, user 10, assistant 10');
select kata.delete_messages(:'right', 7);
select kata.elide(:'right', 6);
select fixture.compact('right');
select is(fixture.seen('right'), '1 13= 9 10', 'a fork has a view of its own');
select is(
  array(select d.side || ' ' || d.version || ' ' || d.kind from kata.diff(:'left', :'right') d),
  '{"b 4 message","b 5 message","b 6 message","b 7 message","b 8 message","b 9 message","b 10 message","b 11 deletion","b 12 elision",'
    '"b 13 compaction"}',
  'what it did to it is among the differences');
select is(array(select version from kata.merge(:'left', :'right')), '{4,5,6,7,8,9}', 'the messages are merged');
select is(
  (select array_agg(content order by version) from kata.state_at(:'left') where version > 3),
  '{user 10,"assistant 10 calls a","tool 300 answers a","assistant 10","user 10","assistant 10"}', 'except the deleted ones, and whole');
select is(array(select fixture.contradictions(c.name)), '{}', 'all reads agree: ' || c.name) from (values ('left'), ('right')) c(name);

-- What is left of a purged parent

select fixture.context('gone', '{"preserve_recent_count": 2, "min_gain_tokens": 0}') as gone \gset
select fixture.talk('gone', 'system 10, user 10, assistant 10 calls a, tool 300 answers a, user 10, assistant 10, user 10, assistant 10');
select kata.elide(:'gone', 4);
select fixture.compact('gone');
select kata.pin(:'gone', 4);
select fixture.fork('gone', 11, 'heir') as heir \gset
select kata.undo(:'gone', 10);
select fixture.talk('gone', 'user 10');
select kata.delete_context(:'gone');
select is((select row(removed, kept)::text from kata.purge_context(:'gone')), '(2,11)', 'a purge keeps the view changes that a fork reads');
select is(fixture.seen('heir'), '1 10= 3* 4~* 7 8', 'the fork sees what it saw');
select is(pg_temp.act('heir', 'undo(:id, 11)'), '12: 1 10= 7 8', 'undoes what it inherited');
select is(pg_temp.act('heir', 'undo(:id, 10)'), '13: 1 2 3 4~ 5 6 7 8', 'all of it');
select is(pg_temp.act('heir', 'undo(:id, 9)'), '14: 1 2 3 4 5 6 7 8', 'to the beginning');
select is(pg_temp.act('heir', 'undo(:id, 13)'), '15: 1 10= 7 8', 'and back');
select is(array(select fixture.contradictions('heir')), '{}', 'all reads of it agree');

-- Versions without a message: they neither cut a set of versions nor make two sets meet

create function pg_temp.easy(name text) returns uuid
language sql volatile
as $$
  select fixture.context(name, '{"preserve_recent_count": 1, "min_gain_tokens": 0, "min_interval_seconds": 0}')
$$;
select pg_temp.easy('strewn') as strewn \gset
select fixture.talk('strewn', 'user 10');
select kata.pin(:'strewn', 1), kata.unpin(:'strewn', 1);
select fixture.talk('strewn', 'system 10, user 10, user 10, user 10');
select pg_temp.easy('strewn twice') as twice \gset
select fixture.talk('strewn twice', 'user 10');
select kata.pin(:'twice', 1), kata.unpin(:'twice', 1);
select fixture.talk('strewn twice', 'system 10, user 10, user 10, user 10');
select compaction_id as begun, covered from kata.begin_compaction(:'strewn', force => true) \gset
select is(:'covered'::text, '{[1,2),[5,7)}', 'a gap with a message is not covered, nor what else took versions there');
select kata.delete_messages(:'strewn', 3, 4);
select is((select summary_version from kata.commit_compaction(:'begun', 'so far', 5)), 9::bigint,
  'a deletion of other messages does not make a commit stale, although it took the version of an unpin');
select kata.delete_messages(:'twice', 3, 4);
select kata.undo(:'twice', 8);
select is(fixture.compact('strewn twice'), 10::bigint, 'what a deletion left is compacted');
select is(pg_temp.act('strewn twice', 'undo(:id, 9)'), '11: 10= 7', 'an undo is superseded by what covers its messages only');

select pg_temp.easy('cut') as cut \gset
select fixture.talk('cut', 'user 10'), kata.pin(:'cut', 1), kata.unpin(:'cut', 1);
select fixture.talk('cut', 'user 10'), kata.pin(:'cut', 4), kata.unpin(:'cut', 4), fixture.talk('cut', 'user 10, user 10');
select fixture.compact('cut');
select kata.pin(:'cut', 7), kata.unpin(:'cut', 7);
select fixture.talk('cut', 'user 10, user 10'), fixture.compact('cut');
select kata.pin(:'cut', 12), kata.unpin(:'cut', 12), fixture.talk('cut', 'user 10, user 10'), fixture.compact('cut');
select is((kata_data.view_at(:'cut', c.version)).visible::text, '{[18,20)}', 'compactions leave no piece of the view without a message')
from kata.get_context(:'cut') c;
select is((kata_data.view_at(:'cut', c.version)).covers::text, '{"{[1,18)}"}', 'and cover in one piece')
from kata.get_context(:'cut') c;
select is(array(select fixture.contradictions(c)), '{}', 'all reads agree: ' || c)
from (values ('strewn'), ('strewn twice'), ('cut')) c(c);

-- A pin in force is in the view, whatever is undone in between

select pg_temp.easy('pinned again') as again2 \gset
select fixture.talk('pinned again', 'user 1, user 2, user 3, user 10');
select kata.pin(:'again2', 1), kata.unpin(:'again2', 1);
select fixture.compact('pinned again', 'so far', 3);
select kata.undo(:'again2', 7), kata.undo(:'again2', 6);
select is(pg_temp.act('pinned again', 'undo(:id, 8)'), '10: 1* 7= 4', 'a compaction that comes back leaves a pin that came back before');
select is(pg_temp.act('pinned again', 'unpin(:id, 1)'), '11: 1 7= 4', 'what it left stays when the pin goes');
select is(array(select fixture.contradictions('pinned again')), '{}', 'all reads of it agree');

-- An elision holds until it is undone, although its message was hidden in between

select pg_temp.easy('stubborn') as stubborn \gset
select fixture.talk('stubborn', 'assistant 10 calls a');
select kata.append_message(:'stubborn', 'tool', repeat('result ', 300), 300, 'a');
select fixture.talk('stubborn', 'assistant 10 calls b');
select kata.append_message(:'stubborn', 'tool', repeat('result ', 300), 300, 'b');
select fixture.talk('stubborn', 'user 10, user 10');
select fixture.fork('stubborn', 6, 'stubborn too') as too \gset
select kata.elide(:'stubborn', 2), kata.elide(:'too', 2, 4);
select fixture.compact('stubborn'), fixture.compact('stubborn too');
select kata.pin(:'stubborn', 2), kata.pin(:'too', 2);
select is(fixture.seen('stubborn'), '1* 2~* 8= 6', 'a shortened message that was covered comes back shortened');
select is(fixture.seen('stubborn too'), fixture.seen('stubborn'), 'whether or not its elision shortened others');
select is(pg_temp.act('stubborn', 'undo(:id, 7)'), '10: 1* 2* 8= 6', 'the undo of its elision shows it whole');
select is(pg_temp.act('stubborn', 'undo(:id, 9)'), '11: 8= 6', 'it is covered again');
select is(pg_temp.act('stubborn', 'pin(:id, 2)'), '12: 1* 2* 8= 6', 'and comes back whole, for the elision is undone');
select is(pg_temp.act('stubborn', 'undo(:id, 10)'), '13: 1* 2~* 8= 6', 'until that undo is undone');
select is(array(select fixture.contradictions(c)), '{}', 'all reads agree: ' || c) from (values ('stubborn'), ('stubborn too')) c(c);

-- Only a summary is left

select pg_temp.easy('summed up') as summed \gset
select fixture.talk('summed up', 'user 10, assistant 20, user 30, assistant 40');
select fixture.compact('summed up', 'all of it', 25), kata.delete_messages(:'summed', 3, 4);
select is(fixture.seen('summed up'), '5=', 'no message is in the view');
select is(
  array(select row(w.version, w.reason, w.over_budget)::text from kata."window"(:'summed', b.budget, stable_step => b.step) w),
  b.rows, b.what)
from (values
  (25, 0, array['(5,newest,f)'], 'the summary takes the place of the newest group'),
  (26, 5, array['(5,newest,f)'], 'whatever the step'),
  (24, 0, array['(5,newest,t)'], 'and is over the budget if it does not fit')) b(budget, step, rows, what);
select is(
  (select row(e.code, e.detail)::text from fixture.error(format('select kata.prompt(%L, 24)', :'summed')) e),
  '(KC020,"The newest group, the preamble and the pins take 33 tokens, the least sufficient budget.")', 'no prompt fits it');

-- The shape of a view

select is(to_jsonb(kata_data.empty_view()),
  '{"version": 0, "change_id": 0, "visible": "{}", "deleted": "{}", "rewound": "{}", "pinned_groups": [], "elisions": [],
    "replacements": [], "covers": [], "amendments": [],
    "amended_from": null, "reworded": null, "tools_version": null, "tools_digest": null, "tools_tokens": null}',
  'the empty view has every field');
select ok(bool_and(to_jsonb(kata_data.view_after(c)) <@ to_jsonb(c)), 'the view after a change has its columns by their names')
from kata_data.view_change c;
select is(kata_data.view_at(c.segment_id, c.version), kata_data.view_after(c), 'and is what view_at finds')
from kata_data.view_change c
where c.segment_id = fixture.id('several')
order by c.version desc
limit 1;

select * from finish();
rollback;
