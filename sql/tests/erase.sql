-- An erasure redacts a message for every reader and nothing else: versions, totals, groups and the chain hold.

begin;
select plan(113);

create function pg_temp.erase(context text, version bigint, reason text default 'by request') returns text[]
language sql volatile
as $$
  select array(
    select format('%s %s: %s', c.name, e.version, e.what)
    from kata.erase_message(fixture.id(context), erase.version, reason) with ordinality e
    join kata_data.context c on c.context_id = e.segment_id
    order by e.ordinality)
$$;
create function pg_temp.contents(context text) returns text[]
language sql volatile
as $$
  select array(select coalesce(m.content, '-') from kata.messages(fixture.id(context)) m order by m.version)
$$;
create function pg_temp.shape(contexts text) returns text
language sql volatile
as $$
  select md5(string_agg(concat(
    (select h::text from kata_data.head h where h.context_id = fixture.id(n.name)),
    (
      select string_agg(
        concat_ws(
          ' ', m.version, m.role, m.token_count, m.token_source, m.tool_call_id, m.tool_name, m.pinned, m.group_version, m.segment_id,
          m.created_at),
        ','
        order by m.version)
     from kata.messages(fixture.id(n.name)) m),
    (select string_agg(w.version || w.reason, ',' order by w.ordinal) from kata."window"(fixture.id(n.name), 40) w)), '|' order by n.name))
  from string_to_table(contexts, ' ') n(name)
$$;

select fixture.context('trunk') as trunk \gset
select kata.append(:'trunk', $$[
  {"role": "system", "content": "be brief", "token_count": 1},
  {"role": "user", "content": "my name is Ann", "name": "ann", "metadata": {"mail": "ann@example.org"}, "token_count": 2},
  {"role": "assistant", "content": "let me see, Ann", "model": "m", "provider": {"thinking": "Ann"}, "token_count": 4, "tool_calls": [
    {"id": "a", "type": "function", "function": {"name": "find", "arguments": "{\"name\": \"Ann\"}"}},
    {"id": "b", "function": {"name": "look", "arguments": "Ann"}}]},
  {"role": "tool", "tool_call_id": "a", "tool_name": "find", "content": "Ann is here", "token_count": 8},
  {"role": "tool", "tool_call_id": "b", "content": null, "parts": [{"type": "image", "source": "Ann"}], "token_count": 16, "pinned": true},
  {"role": "user", "content": "thanks", "token_count": 32},
  {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "wait", "arguments": "{}"}}],
  "token_count": 64}]$$);
select fixture.fork('trunk', 6, 'branch') as branch \gset
select fixture.talk('branch', 'user 1, assistant 2');
select fixture.fork('branch', 7, 'twig') as twig \gset
select fixture.fork('trunk', 1, 'low') as low \gset
select kata.put_token_counts(:'trunk', 'cl100k_base', '{2}', '{5}');

-- What is refused

select throws_ok(format('select kata.erase_message(%L, 2, %s)', :'trunk', r.reason), 'KC017', null, r.description)
from (
  values ('null', 'nothing is erased without a reason'), ('''''', 'an empty one is none'), (E''' \n''', 'nor is a blank one')
) r(reason, description);
select throws_ok(
  format('select kata.erase_message(%L, %s, ''x'')', :'trunk', v.version), 'KC002', null, 'there is no message at version ' || v.version)
from (values ('0'), ('-1'), ('8'), ('null')) v(version);
select throws_ok(format('select kata.erase_message(%L, 7, ''x'')', :'twig') , 'KC001', null, 'another tenant''s message is not found')
from (select set_config('kata.tenant', 'acme', true)) t;
select set_config('kata.tenant', '', true);
select throws_ok($$select kata.erase_message('00000000-0000-7000-8000-000000000000', 1, 'x')$$, 'KC001', null, 'nor is an unknown context');
select throws_ok(
  format('select kata.erase_message(%L, 2, ''x'')', :'low'), 'KC002', null, 'a fork does not reach what its parent said after the fork');
select is((select count(*) from kata_data.erasure), 0::bigint, 'what is refused leaves no record');

-- What is erased, and what stays

select pg_temp.shape('trunk branch twig low') as shape \gset
select is(pg_temp.erase('branch', 2), '{"trunk 2: message"}', 'a fork erases what it has inherited, and it says whose it is');
select results_eq(
  format('select content, name, metadata, role, token_count, token_source from kata.get_message(%L, 2)', :'trunk'),
  $$values ('', null, null::jsonb, 'user', 2, 'given')$$, 'what the user said and who it was is gone');
select is(pg_temp.erase('trunk', 3), '{"trunk 3: message"}', 'a message with calls is erased');
select results_eq(
  format('select content, model, provider, tool_calls from kata.get_message(%L, 3)', :'trunk'),
  $$values (
      '', null, null::jsonb,
      '[{"id": "a", "type": "function", "function": {"name": "find", "arguments": "{}"}}, {"id": "b", "type": "function", '
        '"function": {"name": "look", "arguments": "{}"}}]'::jsonb)$$,
  'its calls stay, without arguments');
select is(pg_temp.erase('trunk', 4), '{"trunk 4: message"}', 'a result is erased');
select results_eq(
  format('select content, tool_call_id, tool_name from kata.get_message(%L, 4)', :'trunk'), $$values ('', 'a', 'find')$$,
  'it still answers its call');
select is(pg_temp.erase('trunk', 5), '{"trunk 5: message"}', 'parts are erased');
select results_eq(
  format('select content, parts, pinned from kata.get_message(%L, 5)', :'trunk'), $$values ('', null::jsonb, true)$$,
  'with nothing in their place');
select is(pg_temp.erase('trunk', 7), '{"trunk 7: message"}', 'calls without text are erased');
select is((select content from kata.get_message(:'trunk', 7)), null, 'and still have no text');
select is(pg_temp.contents('trunk'), '{"be brief","","","","",thanks,-}', 'the rest stays');
select is(pg_temp.contents('twig'), '{"be brief","","","","",thanks,"user 1"}', 'what is erased is gone from all forks');
select is(pg_temp.shape('trunk branch twig low'), :'shape', 'heads, versions, groups, times, totals and windows are what they were');
select is((select count(*) from kata_data.message m where m::text like '%Ann%' or m::text like '%ann@%'), 0::bigint, 'nowhere is a trace');
select is((select t.token_count from kata_data.token_count t where t.segment_id = :'trunk'), 5, 'token counts stay');
select is(array(select v::text from kata.verify(fixture.id(n.name)) v), '{}', 'it is sound after erasures: ' || n.name)
from string_to_table('trunk branch twig low', ' ') n(name);
select fixture.talk('trunk', 'tool 1 answers c');
select is((select count(*) from kata.verify(:'trunk')), 0::bigint, 'and goes on');

select is(
  kata.prompt(:'branch', 1000),
  '[{"role": "system", "content": "be brief"},
    {"role": "assistant", "content": null, "tool_calls": [
      {"id": "a", "type": "function", "function": {"name": "find", "arguments": "{}"}},
      {"id": "b", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
    {"role": "tool", "content": "[empty]", "tool_call_id": "a"}, {"role": "tool", "content": "[empty]", "tool_call_id": "b"},
    {"role": "user", "content": "thanks"}, {"role": "user", "content": "user 1"}, {"role": "assistant", "content": "assistant 2"}]'::jsonb,
  'a prompt still answers every call');
select is(
  kata.prompt(:'branch', 1000, 'anthropic') -> 'messages' -> 1,
  '{"role": "assistant", "content": [{"id": "a", "name": "find", "type": "tool_use", "input": {}}, {"id": "b", "name": "look", '
    '"type": "tool_use", "input": {}}]}'::jsonb,
  'in the other form, too');

-- The record

select results_eq(
  format('select version, reason, erased_by from kata.erasures(%L)', :'trunk'),
  $$values (2::bigint, 'by request', 'postgres'), (3, 'by request', 'postgres'), (4, 'by request', 'postgres'),
    (5, 'by request', 'postgres'), (7, 'by request', 'postgres')$$,
  'erasures are listed: what, why and who');
select is((select array_agg(e.version) from kata.erasures(:'twig') e), '{2,3,4,5}', 'a fork lists those of its path');
select is((select count(*) from kata.erasures(:'low')), 0::bigint, 'and no others');
select throws_ok(
  $$select kata.erasures('00000000-0000-7000-8000-000000000000')$$, 'KC001', null, 'those of an unknown context are not found');
select ok(
  (select bool_and(e.erased_at between now() and clock_timestamp()) from kata.erasures(:'trunk') e), 'the time is that of the call');
select is(pg_temp.erase('twig', 2, 'again'), '{"trunk 2: message"}', 'to erase again is not an error');
select is((select e.reason from kata.erasures(:'trunk') e where e.version = 2), 'by request', 'and keeps the first record');
create role test_chief;
grant kata_admin to test_chief;
select fixture.as_role('test_chief', $$select kata.create_context('of the chief')$$) as chief \gset
select fixture.as_role('test_chief', format($$select kata.append_message(%L, 'user', 'Ann')$$, :'chief'));
select fixture.as_role('test_chief', format($$select what from kata.erase_message(%L, 1, 'by request')$$, :'chief'));
select is(
  fixture.as_role('test_chief', format('select erased_by from kata.erasures(%L)', :'chief')), 'test_chief',
  'who erased is the role that called');

-- Deleted and archived contexts

select kata.archive_context(:'trunk');
select throws_ok(format('select kata.erase_message(%L, 6, ''x'')', :'trunk'), 'KC006', null, 'an archived context is not changed');
select kata.delete_context(:'trunk');
select throws_ok(format('select kata.erase_message(%L, 6, ''x'')', :'trunk'), 'KC006', null, 'nor a deleted one');
select throws_ok(format('select kata.erasures(%L)', :'trunk'), 'KC006', null, 'whose erasures are not listed');
select is(pg_temp.erase('branch', 6), '{"trunk 6: message"}', 'but what a fork reads of it can be erased there');
select kata.restore_context(:'trunk'), kata.unarchive_context(:'trunk');
select is((select content from kata.get_message(:'trunk', 6)), '', 'and is gone when it comes back');

-- Copies

select fixture.context('source') as source \gset
select fixture.talk('source', 'user 1, user 2');
select fixture.context('copy') as copy \gset
select fixture.talk('copy', 'user 4');
select fixture.context('second') as second \gset
select fixture.context('third') as third \gset
select kata.merge(:'copy', :'source');
select kata.merge(:'second', :'copy');
select kata.merge(:'third', :'source');
select is(
  pg_temp.erase('copy', 2), '{"copy 2: message","second 2: copy","source 1: original"}',
  'of a copy its own copies are erased, and the original is named');
select is(pg_temp.contents('second'), '{"user 4","","user 2"}', 'the copy of the copy is blank');
select is(
  pg_temp.contents('source') || pg_temp.contents('third'), '{"user 1","user 2","user 1","user 2"}',
  'the original and its other copies are not touched');
select is(
  pg_temp.erase('source', 2), '{"source 2: message","copy 3: copy","second 3: copy","third 2: copy"}',
  'of an original all copies are erased');
select is(
  (
    select string_agg(m.content, '|' order by m.segment_id, m.version)
    from kata_data.message m
    where m.segment_id in (:'copy', :'second', :'third') and m.content like '%2'),
  null, 'none is left');
select is(
  (select array_agg(format('%s %s', e.version, e.reason)) from kata.erasures(:'second') e), '{"2 by request","3 by request"}',
  'where a copy was, its erasure is listed');
select is(array(select v::text from kata.verify(fixture.id(n.name)) v), '{}', 'it is sound after erasures of copies: ' || n.name)
from string_to_table('source copy second third', ' ') n(name);
select fixture.context('late') as late \gset
select kata.merge(:'late', :'source');
select is(pg_temp.contents('late'), '{"user 1",""}', 'what is merged later is blank already');

select fixture.context('well') as well \gset
select fixture.talk('well', 'user 8');
select fixture.context('pipe') as pipe \gset
select fixture.context('tap') as tap \gset
select kata.merge(:'pipe', :'well');
select kata.merge(:'tap', :'pipe');
select kata.delete_context(:'pipe');
select kata.purge_context(:'pipe');
select is(
  (
    select array_agg(format('%s %s', e.segment_id = :'tap', e.what))
    from kata.erase_message(:'tap', 1, 'x') e
    where e.what = 'original' or e.segment_id = :'tap'),
  '{"t message","f original"}', 'a copy of a copy that was purged still knows what it goes back to');
select is(pg_temp.erase('well', 1), '{"well 1: message","tap 1: copy"}', 'and is found from there');
select is(pg_temp.contents('tap'), '{""}', 'and blank');
select kata.delete_context(:'well');
select kata.purge_context(:'well');
select is(pg_temp.erase('tap', 1), '{"tap 1: message"}', 'an original that was purged is not named');

-- Summaries and stubs

select fixture.context('long', '{"preserve_recent_count": 2, "min_gain_tokens": 0}') as long \gset
select kata.append(:'long', (
  select jsonb_agg(jsonb_build_object('role', 'user', 'content', 'Ann ' || g, 'token_count', 10)) from generate_series(1, 8) g));
select is(fixture.compact('long', 'Ann asked'), 9::bigint, 'a conversation is compacted');
select fixture.fork('long', 9, 'longer') as longer \gset
select fixture.talk('longer', 'user 10, user 10, user 10, user 10');
select is(fixture.compact('longer', 'Ann went on'), 14::bigint, 'and in a fork once more');
select pg_temp.shape('long longer') as shape \gset
select is(
  pg_temp.erase('long', 2), '{"long 2: message","long 9: summary","longer 14: summary"}',
  'an erasure names the summaries that cover the message');
select is((select content from kata.get_message(:'long', 9)), 'Ann asked', 'which are not rewritten');
select is(
  pg_temp.erase('longer', 9), '{"long 9: message","longer 14: summary"}',
  'a summary is erased by its own version, and it is said which has absorbed it');
select is(pg_temp.erase('longer', 14), '{"longer 14: message"}', 'that one, too');
select is(
  array[(select content from kata.get_message(:'long', 9)), (select content from kata.get_message(:'longer', 14))], array['', ''],
  'both are blank');
select is(pg_temp.shape('long longer'), :'shape', 'the views are what they were');
select is((select array_agg(e.version) from kata.erasures(:'longer') e), '{2,9,14}', 'erasures of summaries are listed');
select is(pg_temp.erase('long', 9, 'again'), '{"long 9: message","longer 14: summary"}', 'to erase a summary again is not an error');
select is(array(select v::text from kata.verify(fixture.id(n.name)) v), '{}', 'it is sound after erasures of summaries: ' || n.name)
from string_to_table('long longer', ' ') n(name);
select is(
  fixture.damage(format('update kata_data.summary set %s where segment_id = %L', d.changes, :'long'), 'long'), '{erasure at 9}',
  d.description)
from (values
  ('content = ''Ann asked''', 'the return of an erased summary is found'),
  ('metadata = ''{}''', 'so is what is added to it')
) d(changes, description);
select is(
  fixture.damage(format('delete from kata_data.erasure where segment_id = %L and version = 9', :'long'), 'long'), '{digest at 9}',
  'and a summary that is blank without record');
select is(
  fixture.damage(
    format('update kata_data.erasure set content_digest = sha256(content_digest) where segment_id = %L and version = 9', :'long'),
    'long'),
  '{digest at 9,receipt at 9}', 'and a record that was changed');
select is(
  fixture.damage(format('update kata_data.summary set %s where segment_id = %L', d.changes, :'long'), 'long') @> array[d.problem], true,
  d.description)
from (values
  ('role = ''developer''', 'digest at 9', 'another role of an erased summary is found'),
  ('token_count = token_count + 1', 'digest at 9', 'so is another count'),
  ('token_source = ''exact''', 'digest at 9', 'so is another source of the count'),
  ('salt = decode(repeat(''00'', 16), ''hex'')', 'erasure at 9', 'so is a salt that was put there')
) d(changes, problem, description);

select fixture.context('tools') as tools \gset
select kata.append(:'tools', jsonb_build_array(
  jsonb_build_object('role', 'assistant', 'content', '', 'tool_calls', fixture.calls('a')),
  jsonb_build_object('role', 'tool', 'tool_call_id', 'a', 'content', repeat('Ann lives here. ', 200)),
  jsonb_build_object('role', 'user', 'content', 'thanks')));
select is(kata.elide(:'tools', 2, keep_tokens => 50), 4::bigint, 'a result is shortened');
select s.content as short, s.salt as short_salt, s.content like '%Ann%' as says from kata_data.stub s where s.segment_id = :'tools' \gset
select ok(:'says', 'and still says it');
select is(pg_temp.erase('tools', 2), '{"tools 2: message"}', 'when it is erased');
select is((select count(*) from kata.messages(:'tools') m where m::text like '%Ann%'), 0::bigint, 'its short form is, too');
select is((select count(*) from kata.verify(:'tools')), 0::bigint, 'and it is sound');
select is(
  fixture.damage(
    format('update kata_data.stub set salt = %L, content = %L where segment_id = %L', :'short_salt', :'short', :'tools'), 'tools'),
  '{stub at 4}', 'the return of the short form is found');
select is(kata.elide(:'tools', 2, keep_tokens => 20), 5::bigint, 'what is erased can be shortened further');
select is((select count(*) from kata.verify(:'tools')), 0::bigint, 'and is sound, too');

-- Custom calls

select fixture.context('custom') as custom \gset
select kata.append(:'custom', $$[{"role": "assistant", "content": "Ann", "tool_calls": [
  {"id": "a", "type": "function", "function": {"name": "find", "arguments": "{}"}},
  {"id": "b", "type": "custom", "custom": {"name": "shell", "input": "ls"}, "function": {"name": "stray"}},
  {"id": "c", "type": "function", "function": {"name": "wait", "arguments": "{}"}, "custom": {"name": "stray"}}]}]$$);
select is(
  (select split_part(d.frame, '|', 11)::jsonb -> 'call_names' from kata.entry_digests(:'custom') d), '["find", "shell", "wait"]'::jsonb,
  'the digest covers the name of every call, one of a custom tool, too');
select is(pg_temp.erase('custom', 1), '{"custom 1: message"}', 'a message with a custom call is erased');
select is((select count(*) from kata.verify(:'custom')), 0::bigint, 'and is sound');
select is(
  fixture.damage(
    format('update kata_data.message set tool_calls = jsonb_set(tool_calls, %L, ''"forged"'') where segment_id = %L', n.path, :'custom'),
    'custom') @> '{digest at 1}',
  true, 'a name that was changed is found: ' || n.path)
from (values ('{0,function,name}'), ('{1,custom,name}'), ('{2,function,name}')) n(path);

-- Tampering

create function pg_temp.damaged(changes text, version bigint) returns text[]
language sql volatile
as $$
  select fixture.damage(
    format('update kata_data.message set %s where segment_id = %L and version = %s', changes, fixture.id('trunk'), version), 'trunk')
$$;
select is(pg_temp.damaged(d.changes, d.version) @> array[d.problem || ' at ' || d.version], true, d.description)
from (values
  ('content = ''my name is Bob''', 2, 'erasure', 'words that are put into an erased message''s mouth are found'),
  ('content = ''my name is Ann'', name = ''ann'', metadata = ''{"mail": "ann@example.org"}''',
    2, 'erasure', 'so is the return of what was erased'),
  ('content = null', 2, 'erasure', 'and what is blanked further'),
  ('role = ''system''', 2, 'digest', 'a role that was changed is found in an erased message'),
  ('created_at = created_at + interval ''1 us''', 2, 'digest', 'so is a time'),
  ('pinned = false', 5, 'digest', 'so is a pin'),
  ('tool_calls = jsonb_set(tool_calls, ''{0,function,name}'', ''"forged"'')', 3, 'digest', 'so is a function'),
  ('digest = sha256(digest)', 2, 'digest', 'so is a digest'),
  ('salt = ''\x00''', 2, 'erasure', 'and a salt that was put there')
) d(changes, version, problem, description);
select is(
  fixture.damage(
    format(
      $$alter table kata_data.erasure drop constraint if exists erasure_content_digest_has_32_bytes;
        update kata_data.message set tool_call_id = null, tool_name = null where segment_id = %1$L and version = 4;
        update kata_data.erasure set content_digest = convert_to('{"tool_name": "find", "tool_call_id": "a"}', 'UTF8') || content_digest
        where segment_id = %1$L and version = 4$$,
      :'trunk'),
    'trunk') @> '{digest at 4}',
  true, 'a field that was moved from the message into the record is found');
select is(
  fixture.damage(format('delete from kata_data.erasure where segment_id = %L and version = 4', :'trunk'), 'trunk'),
  '{digest at 4,receipt at 4}',
  'a message that is blank without record is found');
select is(
  fixture.damage(
    format(
      $$insert into kata_data.erasure select e.segment_id, 8, e.what, e.reason, e.erased_by, e.erased_at, e.content_digest,
        e.act_context_id, e.act_number
        from kata_data.erasure e
        where e.segment_id = %L and e.version = 2$$,
      :'trunk'),
    'trunk'),
  '{erasure at 8,receipt at 8}', 'a record of a message that is not erased is found');
select is(
  fixture.damage(
    format(
      $$insert into kata_data.erasure select e.segment_id, 99, e.what, e.reason, e.erased_by, e.erased_at, e.content_digest,
        e.act_context_id, e.act_number
        from kata_data.erasure e
        where e.segment_id = %L and e.version = 2$$,
      :'trunk')),
  '{orphan row at 99,receipt at 99}', 'a record of no message, too');

-- Origins that no merge records: an import may store them

savepoint forged;
select set_config('kata.tenant', 'a', true);
select kata.create_context() as ours \gset
select kata.append(:'ours', fixture.drafts('user 1, user 2, user 3'));
select set_config('kata.tenant', 'b', true);
select kata.create_context() as theirs \gset
select kata.append(:'theirs', fixture.drafts('user 1'));
insert into kata_data.merge_origin (segment_id, version, source_segment_id, source_version, origin_segment_id, origin_version)
values
  (:'ours', 1, :'theirs', 1, :'theirs', 1), (:'ours', 2, :'ours', 3, :'ours', 3), (:'ours', 3, :'ours', 2, :'ours', 3);
select is(kata_data.copy_segments(:'theirs', 1), '{}', 'the family of another tenant is not locked');
select results_eq(
  format($$select e.segment_id, e.what from kata.erase_message(%L, 1, 'a secret of b') e$$, :'theirs'),
  format($$values (%L::uuid, 'message')$$, :'theirs'), 'an erasure does not reach a message of another tenant');
select set_config('kata.tenant', 'a', true);
select is_empty(format('select from kata.erasures(%L)', :'ours'), 'nor does its reason');
select results_eq(
  format($$select e.version, e.what from kata.erase_message(%L, 1, 'ours') e$$, :'ours'),
  $$values (1::bigint, 'message')$$, 'nor is an original of another tenant named');
select results_eq(
  format($$select e.version, e.what from kata.erase_message(%L, 2, 'ours') e$$, :'ours'),
  $$values (2::bigint, 'message'), (3, 'copy'), (3, 'original')$$, 'of two messages that name each other both are erased, once');
rollback to forged;

select * from finish();
rollback;
