-- A rewind goes back to the state of a version. Later entries are hidden, and nothing of the log is lost.

begin;
select plan(101);

create function pg_temp.line(context text) returns text
language sql volatile
as $$
  select format('%s | open %s of %s | turn %s | preamble %s | %s tokens',
    fixture.seen(context), h.open_calls, h.open_groups, h.turn_version, h.preamble_end, h.view_tokens)
  from kata_data.head h
  where h.context_id = fixture.id(context)
$$;
comment on function pg_temp.line(text) is 'The view of a context, and what its next entry depends on.';

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

-- Back, on, and forward again

select fixture.context('talk', '{"preserve_recent_count": 1, "min_gain_tokens": 0}') as talk \gset
select fixture.talk('talk', 'system 10, user 20, assistant 30 calls a b, tool 40 answers b, tool 50 answers a, assistant 60');
create temporary table was (at bigint, line text);
insert into was values (6, pg_temp.line('talk'));
select is(pg_temp.act('talk', 'rewind(:id, 3)'), '7: 1 2 3', 'a rewind shows the messages of then');
select is(pg_temp.line('talk'), '1 2 3 | open {"a": 3, "b": 3} of {"3": 30} | turn 2 | preamble 1 | 60 tokens',
  'calls that were open are open, with the tokens that their group had');
select is(fixture.talk('talk', 'tool 4 answers a, tool 5 answers b'), '{8,9}', 'results are taken again');
select is(fixture.seen('talk'), '1 2 3 8 9', 'and come in the place of the first ones');
select is(fixture.view('talk', 2147483647), '{1,2,3,8,9}', 'no window shows the first ones');
select is(fixture.view('talk', 39), '{1,3,8,9}', 'a group comes whole, and as it is now');
select is(fixture.view('talk', 1000, tokenizer => 'cl100k_base'), '{1,2,3,8,9}', 'also in another tokenizer');
select is(
  (select sum(w.token_count) from kata."window"(:'talk', 1000, tokenizer => 'cl100k_base') w),
  (select max(w.running_tokens) from kata."window"(:'talk', 1000, tokenizer => 'cl100k_base') w), 'whose sums are right');
select is(fixture.page('talk', visibility => 'raw'), '{1,2,3,8,9}', 'the list raw is of the line');
select is(fixture.page('talk', visibility => 'all'), '{1,2,3,4,5,6,8,9}', 'the list all has everything');
select is(
  (select row(m.content, m.in_view)::text from kata.get_message(:'talk', 5) m), '("tool 50 answers a",f)', 'and every version is readable');
select is(pg_temp.act('talk', 'rewind(:id, 6)'), '10: 1 2 3 4 5 6', 'a rewind to a version that is rewound goes forward again');
select is(pg_temp.line('talk'), (select w.line from was w where w.at = 6), 'all is as it was there');
select is(pg_temp.act('talk', 'rewind(:id, 0)'), '11: ', 'a rewind to 0 empties the view');
select is(pg_temp.line('talk'), ' | open {} of {} | turn  | preamble  | 0 tokens', 'and all that the next entry depends on');
select fixture.talk('talk', 'developer 1, system 2, user 3, assistant 4');
select is(pg_temp.line('talk'), '12 13 14 15 | open {} of {} | turn 14 | preamble 13 | 10 tokens', 'a preamble begins anew');
select is(fixture.view('talk', 9), '{12,13,15}', 'and always comes');
select is(fixture.view('talk', 80, at => 6), '{1,6}', 'as of an older version the older preamble does');
select fixture.context('open preamble') as open_preamble \gset
select fixture.talk('open preamble', 'developer 5');
select kata.rewind(:'open_preamble', 0);
select fixture.talk('open preamble', 'assistant 5');
select is((select w.reason from kata."window"(:'open_preamble', 50, 1) w), 'preamble', 'also one that was open before the rewind');
select is(array(select v::text from kata.verify(:'open_preamble') v), '{}', 'verify finds nothing in it');
select is(
  array(select h.version || ' by ' || h.rewound_by from kata.history(:'talk') h where h.rewound_by is not null order by h.version),
  '{"1 by 11","2 by 11","3 by 11","4 by 11","5 by 11","6 by 11","7 by 11","8 by 11","9 by 11","10 by 11"}',
  'the history names the rewind that hides an entry');
select is(
  (select row(h.kind, h.preview, h.view_tokens)::text from kata.history(:'talk') h where h.version = 7), '(rewind,"to version 3",60)',
  'and what a rewind did');
select is((select row(u.message_count, u.raw_tokens, u.view_tokens)::text from kata.usage(:'talk') u), '(12,229,10)',
  'totals of the log count what is rewound');
select is(array(select fixture.contradictions('talk')), '{}', 'all reads agree, at every version, and in forks made there');
select is(array(select v::text from kata.verify(:'talk') v), '{}', 'verify finds nothing');

-- View changes

select fixture.context('edited', '{"preserve_recent_count": 1, "min_gain_tokens": 0}') as edited \gset
select fixture.talk('edited', 'user 10, assistant 20 calls a, tool 300 answers a, user 40, assistant 50, user 60');
create temporary table step (version bigint, call text, seen text, what text);
insert into step values
  (7, 'elide(:id, 3)', '1 2 3~ 4 5 6', 'a change before'),
  (8, 'delete_messages(:id, 4)', '1 2 3~ 5 6', 'a deletion'),
  (9, 'pin(:id, 5)', '1 2 3~ 5* 6', 'a pin'),
  (10, 'undo(:id, 7)', '1 2 3 5* 6', 'an undo of a change before'),
  (11, 'rewind(:id, 7)', '1 2 3~ 4 5 6', 'what came after is taken back: deletion, pin, undo'),
  (12, 'undo(:id, 7)', '1 2 3 4 5 6', 'an undo that was rewound does not count'),
  (13, 'undo(:id, 12)', '1 2 3~ 4 5 6', 'nor does the redo bring anything of the other line'),
  (14, 'rewind(:id, 9)', '1 2 3~ 5* 6', 'the other line comes back whole'),
  (15, 'undo(:id, 8)', '1 2 3~ 4 5* 6', 'its changes can be undone again'),
  (16, 'delete_messages(:id, 1, 12)', '', 'a deletion takes what is on the line'),
  (17, 'undo(:id, 16)', '1 2 3~ 4 5* 6', 'and its undo brings that back'),
  (18, 'rewind(:id, 6)', '1 2 3 4 5 6', 'back before all of them'),
  (19, 'undo(:id, 18)', '1 2 3~ 4 5* 6', 'the undo of a rewind, the newest entry'),
  (20, 'undo(:id, 19)', '1 2 3 4 5 6', 'and its undo');
select is(pg_temp.act('edited', s.call), format('%s: %s', s.version, s.seen), s.what) from (select s.* from step s order by s.version) s;
select is(array(select fixture.contradictions('edited')), '{}', 'all reads agree after rewinds of view changes');
select is(fixture.compact('edited'), 21::bigint, 'a compaction of the line');
select is(fixture.seen('edited'), '21= 6', 'covers it');
select is(pg_temp.act('edited', 'rewind(:id, 19)'), '22: 1 2 3~ 4 5* 6', 'and is rewound');
select is(pg_temp.act('edited', 'undo(:id, 9)'), '23: 1 2 3~ 4 5 6', 'a compaction that is rewound blocks no undo');
select is(array(select v::text from kata.verify(:'edited') v), '{}', 'verify finds nothing after rewinds of view changes');

-- What is refused

select is(
  array(select row(e.code, e.message, e.detail, e.hint)::text from fixture.error(format(c.call, :'edited')) e), array[c.error], c.what)
from (values
  ('select kata.undo(%L, 21)',
    '(KC017,"version 21 is rewound","The rewind at version 22 took it back with all that came after version 19.",'
      || format('"Go to a version where it was in force: kata.rewind(''%s'', 21), for example.")', :'edited'),
    'the undo of what a rewind took back'),
  ('select kata.undo(%L, 22)',
    '(KC021,"version 22 is a rewind, or the undo of one, and not the newest entry",'
      || format('"Context %s is at version 23.","Go back to before it: kata.rewind(''%1$s'', 21).")', :'edited'),
    'the undo of a rewind that is not the newest entry')) c(call, error, what);
select throws_ok(format(c.call, :'edited'), c.code, c.message, c.what)
from (values
  ('select kata.undo(%L, 19)', 'KC021', 'version 19 is a rewind, or the undo of one, and not the newest entry', 'of the undo of a rewind'),
  ('select kata.undo(%L, 18)', 'KC017', 'version 18 is undone already', 'of a rewind that is undone'),
  ('select kata.undo(%L, 11)', 'KC017', 'version 11 is rewound', 'of a rewind that another one took back'),
  ('select kata.rewind(%L, 23)', 'KC017', 'nothing would change', 'a rewind to the newest version'),
  ('select kata.rewind(%L, 24)', 'KC002', 'version 24 not found', 'to a version that is not there'),
  ('select kata.rewind(%L, -1)', 'KC002', 'version -1 not found', 'to less than 0'),
  ('select kata.rewind(%L, null)', 'KC002', 'version null not found', 'to null'),
  ('select kata.rewind(%L, 6, 21)', 'KC003', null, 'where an older version was expected'),
  ('select kata.pin(%L, 20)', 'KC002', 'version 20 not found', 'a pin of no message')) c(call, code, message, what);
select is(
  (select e.hint from fixture.error(format('select kata.rewind(%L, null)', :'edited')) e), 'Pass one of these; 0 is the empty context.',
  'and null is not now');
select is(kata.rewind(:'edited', 22, 22), 24::bigint, 'the version of the last rewind may be expected');
select throws_ok(format($$select kata.append(%L, '[{"role": "user", "content": "x"}]', 23)$$, :'edited'), 'KC003', null,
  'an append that expects the version before a rewind is refused');
select throws_ok(format('select kata.pin(%L, 8)', :'talk'), 'KC002', null, 'what is rewound cannot be pinned');
select throws_ok(format('select kata.unpin(%L, 8)', :'talk'), 'KC002', null, 'nor unpinned');
select throws_ok(format('select kata.delete_messages(%L, 1, 9)', :'talk'), 'KC017', 'nothing would change', 'nor deleted');
select throws_ok(format('select kata.elide(%L, 4, 5, 1)', :'talk'), 'KC017', 'nothing would change', 'nor shortened');

-- Keys

select fixture.context('keys') as keys \gset
select kata.append_message(:'keys', 'user', 'one', 1, idempotency_key => 'a');
select kata.append_record(:'keys', 'note', '1', idempotency_key => 'r');
select is(kata.rewind(:'keys', 1, idempotency_key => 'back'), 3::bigint, 'a rewind has a key');
select is(kata.rewind(:'keys', 1, idempotency_key => 'back'), 3::bigint, 'and answers a retry');
select throws_ok(format('select kata.rewind(%L, 0, idempotency_key => %L)', :'keys', 'back'), 'KC019', null, 'of the same request only');
select throws_ok(format($$select kata.append_record(%L, 'note', '1', idempotency_key => 'r')$$, :'keys'), 'KC021',
  'version 2, which idempotency key "r" led to, is rewound', 'a key whose result is rewound is refused');
select is(kata.append_message(:'keys', 'user', 'one', 1, idempotency_key => 'a'), 1::bigint, 'one whose result is on the line answers');
select is(array(select k.rewound_by from kata.key_result(:'keys', 'r') k), '{3}', 'what a key has done can be asked for, with the rewind');
select is(array(select k.rewound_by from kata.key_result(:'keys', 'back') k), '{NULL}', 'a rewind is on its own line');
select kata.rewind(:'keys', 0);
select throws_ok(format('select kata.rewind(%L, 1, idempotency_key => %L)', :'keys', 'back'), 'KC021', null,
  'the key of a rewind that another one took back is refused');
select throws_ok(format($$select kata.append_message(%L, 'user', 'one', 1, idempotency_key => 'a')$$, :'keys'), 'KC021', null,
  'that of a message, too');
select kata.rewind(:'keys', 3);
select is(kata.append_message(:'keys', 'user', 'one', 1, idempotency_key => 'a'), 1::bigint, 'until the message is back');

-- Ids, records, search, artifacts, merges

select fixture.context('named', '{"preserve_recent_count": 1, "min_gain_tokens": 0}') as named \gset
select kata.append_message(:'named', 'user', 'Read docs/plan.md about zebras.', 10, external_id => 'x');
select kata.append_record(:'named', 'note', '1', 'y');
select kata.append_message(:'named', 'assistant', 'See docs/other.md on zebras.', 10, external_id => 'z');
select fixture.fork('named', 3, 'branch') as branch \gset
select kata.rewind(:'named', 1);
select is(kata.find_message(:'named', 'z'), null, 'an id that is rewound finds nothing');
select is(kata.find_message(:'named', 'z', 3), 3::bigint, 'except as of then');
select is(kata.append_message(:'named', 'user', 'Again.', 10, external_id => 'z'), 5::bigint, 'it may be given again');
select is(kata.append_record(:'named', 'note', '2', 'y'), 6::bigint, 'that of a record, too');
select throws_ok(format($$select kata.append_record(%L, 'note', '3', 'x')$$, :'named'), 'KC004', null, 'one of the line is taken');
select is(array(select r.version from kata.records(:'named') r), '{6}', 'records are of the line');
select is(array(select r.version from kata.records(:'named', at => 3) r), '{2}', 'as of a version, too');
select is(array(select s.version from kata.search(:'named', 'zebras') s), '{1}', 'search finds what is on the line');
select is(array(select r.version from kata.recall(:'named', 'zebras') r where r.version in (1, 3)), '{1}', 'so does recall');
select is(array(select a.ref from kata.artifacts(:'named', 'file') a), '{docs/plan.md}', 'artifacts are those of the line');
select kata_data.extract_artifacts(:'named', 6);
select is(array(select a.ref from kata.artifacts(:'named', 'file') a), '{docs/plan.md}', 'also where they are indexed');
select is(array(select a.ref from kata.artifacts(:'named', 'file', 3) a order by 1), '{docs/other.md,docs/plan.md}', 'and as of then');
select is(
  array(select e.reason from kata.explain_window(:'named', 1000) e where e.version = 3), '{rewound}',
  'a window explains that it leaves out what is rewound');
select is((select count(*) from kata.merge(:'named', :'branch')), 0::bigint, 'a fork that has only what is common brings nothing');
select kata.append_message(:'branch', 'user', 'News.', 10);
select is((select count(*) from kata.merge(:'named', :'branch')), 1::bigint, 'a copy');
select kata.rewind(:'named', 6);
select is((select count(*) from kata.merge(:'named', :'branch')), 1::bigint, 'that the target has rewound is copied again');
select kata.rewind(:'branch', 3);
select fixture.context('other') as other \gset
select is((select count(*) from kata.merge(:'other', :'branch')), 2::bigint, 'what the source has rewound is not copied');
select lives_ok(format('select kata.erase_message(%L, 3, %L)', :'named', 'asked'), 'an erasure reaches what is rewound');
select is(array(select v::text from kata.verify() v where v.problem <> 'security'), '{}', 'verify finds nothing in all these');

-- Compaction

select fixture.context('compacted', '{"preserve_recent_count": 1, "min_gain_tokens": 0}') as compacted \gset
select fixture.talk('compacted', 'user 10, assistant 20, user 30, assistant 40, user 50');
select b.compaction_id as kept from kata.begin_compaction(:'compacted', force => true) b \gset
select fixture.talk('compacted', 'assistant 60');
select kata.rewind(:'compacted', 5);
select is((select c.summary_version from kata.commit_compaction(:'kept', 'so far', 5) c), 8::bigint,
  'a running compaction whose messages are on the line commits');
select kata.rewind(:'compacted', 6);
select b.compaction_id as stale from kata.begin_compaction(:'compacted', force => true) b \gset
select kata.rewind(:'compacted', 2);
select throws_ok(format('select kata.commit_compaction(%L, %L, 5)', :'stale', 'so far'), 'KC011', null,
  'one that covers what is rewound is stale');

-- A loop of appends, each taken back

select fixture.context('loop') as loop \gset
select fixture.talk('loop', 'user 10, assistant 20');
do $$
begin
  for i in 1 .. 100 loop
    perform kata.append_message(fixture.id('loop'), 'user', 'x', 1);
    perform kata.rewind(fixture.id('loop'), 2 * i);
  end loop;
end
$$;
select is(
  (select row(v.visible, v.rewound)::text from kata_data.view_at(:'loop', 202) v), '("{[1,3)}","{[3,203)}")',
  'rewinds in a row leave one piece, and one range that is rewound');
select is((select count(*) from kata.history(:'loop', max_rows => 1000) h where h.rewound_by = h.version + 1), 100::bigint,
  'and each hides its own message');

-- Damage

select is(fixture.damage(format(d.statement, :'talk', '{}'), 'talk') @> array[d.problem], true, d.what)
from (values
  ('update kata_data.view_change set rewound = %2$L where segment_id = %1$L and version = 7', 'view at 7', 'less rewound is found'),
  ('update kata_data.view_change set rewound_to = 2 where segment_id = %1$L and version = 7', 'view at 7', 'another goal is found'),
  ('update kata_data.view_change set oldest_open_group = null where segment_id = %1$L and version = 7', 'state of the log at 7',
    'forgotten open calls are found'),
  ('update kata_data.view_change set turn_version = 1 where segment_id = %1$L and version = 11', 'state of the log at 11',
    'another turn is found'),
  ('update kata_data.head set has_older_preamble = false where context_id = %1$L', 'head counters', 'a forgotten preamble is found'))
  d(statement, problem, what);

select * from finish();
rollback;
