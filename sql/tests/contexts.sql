-- A context can be made, found, listed, renamed, archived, deleted and brought back, and its names and policy keep the rules.

begin;
select plan(481);

-- Making one

select kata.create_context('first', metadata => '{"ticket": 7}') as first \gset

select results_eq(
  format(
    $$select name, tenant, parent_id, fork_version, depth, version, message_count, raw_tokens, view_tokens, tokenizer, open_calls, metadata,
    archived_at, deleted_at from kata.get_context(%L)$$, :'first'),
  $$values ('first', 'default', null::uuid, null::bigint, 0, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 'o200k_base', '{}'::text[],
    '{"ticket": 7}'::jsonb, null::timestamptz, null::timestamptz)$$,
  'a new context is empty, at version 0, a root');
select is((select created_at from kata.get_context(:'first')), (select updated_at from kata.get_context(:'first')),
  'a new context was last changed when it was created');
select is(kata.find_context('first'), :'first', 'a live context is found by its name');
select is(kata.find_context('no such'), null, 'an unused name finds nothing');
select is(kata.find_context(null), null, 'no name finds nothing');
select is((fixture.stored(kata.create_context())).name, null, 'a name is not needed');
select lives_ok($$select kata.create_context(), kata.create_context()$$, 'contexts without a name do not collide');
select is(
  (fixture.stored(kata.create_context(tokenizer => 'cl100k_base'))).tokenizer, 'cl100k_base',
  'a context counts in the tokenizer that it was made with');
select throws_ok($$select kata.create_context(tokenizer => 'abacus')$$, 'KC017', null, 'a tokenizer must be registered');
select throws_ok($$select kata.create_context(tokenizer => null)$$, 'KC017', null, 'a context has a tokenizer');
select results_eq(
  $$select * from fixture.error($q$select kata.create_context(tokenizer => 'abacus')$q$)$$,
  $$values ('KC017', 'tokenizer "abacus" is unknown', 'A context counts its tokens in one registered tokenizer.',
    'Register it with kata.register_tokenizer; kata.tokenizers lists the known ones.')$$,
  'an error has message, detail and hint');

-- Getting or creating one

select context_id as chat, created as is_new
from kata.get_or_create_context('chat', '{"budget": 9000}', '{"a": 1}', 'cl100k_base', 'audit') \gset
select ok(:'is_new', 'a context is created where none has the name');
select results_eq(
  format($$select name, metadata, tokenizer, version, depth from kata.get_context(%L)$$, :'chat'),
  $$values ('chat', '{"a": 1}'::jsonb, 'cl100k_base', 0::bigint, 0)$$,
  'the new context has the metadata and the tokenizer that were asked for');
select is((fixture.stored(:'chat')).policy, '{"budget": 9000, "enabled": false}', 'its policy patches the preset');
select kata.append_message(:'chat', 'user', 'hello');
select results_eq($$select * from kata.get_or_create_context('chat')$$, format('values (%L::uuid, false)', :'chat'),
  'the context that has the name is returned, and not created again');
select results_eq(
  $$select * from kata.get_or_create_context('chat', '{"budget": 1}', '{"b": 2}', 'o200k_base')$$,
  format('values (%L::uuid, false)', :'chat'),
  'other arguments find the same context');
select results_eq(
  format($$select metadata, tokenizer, version from kata.get_context(%L)$$, :'chat'),
  $$values ('{"a": 1}'::jsonb, 'cl100k_base', 1::bigint)$$,
  'a context that is found stays as it is');
select kata.archive_context(:'chat');
select results_eq($$select * from kata.get_or_create_context('chat')$$, format('values (%L::uuid, false)', :'chat'),
  'an archived context is returned, for it has the name still');
select kata.update_context(context_id, 'chat 2') from kata.get_or_create_context('chat 1');
select ok(created, 'a name that was given away is created anew') from kata.get_or_create_context('chat 1');
select ok(not created, 'a name that was taken over is found') from kata.get_or_create_context('chat 2');
select kata.delete_context(:'chat');
select context_id as chat_again, created as is_new from kata.get_or_create_context('chat') \gset
select ok(:'is_new' and :'chat_again'::uuid <> :'chat'::uuid, 'a deleted context is not returned: its name is free');
select throws_ok(
  format('select kata.restore_context(%L)', :'chat'), 'KC007', null, 'the new context has the name as one of create_context has');
select fixture.fork('chat', 0, 'chat fork') as chat_fork \gset
select results_eq(
  $$select * from kata.get_or_create_context('chat fork')$$, format('values (%L::uuid, false)', :'chat_fork'),
  'a fork is found by its name, too');
select results_eq(
  format('select code, message, detail, hint from fixture.error(%L)', 'select kata.get_or_create_context(null)'),
  $$values ('KC017', 'name is missing', 'The context is looked up by its name.',
    'Pass 1 to 255 characters; kata.create_context creates a context without a name.')$$,
  'a name is required');
select throws_ok(format('select kata.get_or_create_context(%L, %s)', a.name, a.rest), a.code, null, a.description)
from (values
  ('', 'null', 'KC017', 'an empty name is refused'),
  ('chat', $$'{"budget": 0}'$$, 'KC013', 'a policy that is out of range is refused although the context exists'),
  ('chat', $$metadata => '[]'$$, 'KC017', 'metadata that are not an object are refused although the context exists'),
  ('chat', $$tokenizer => 'abacus'$$, 'KC017', 'an unknown tokenizer is refused although the context exists'),
  ('chat', $$preset => 'nonsense'$$, 'KC013', 'an unknown preset is refused although the context exists')) a(name, rest, code, description);

-- Ids

set local kata.clock = '2026-01-02 03:04:05.678+00';
select kata.create_context('in time') as in_time \gset
select is(split_part(:'in_time', '-', 1) || split_part(:'in_time', '-', 2), lpad(to_hex(1767323045678), 12, '0'),
  'an id begins with its milliseconds since 1970');
select matches(
  :'in_time'::text, '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$', 'an id is a UUID in the version 7 layout');
select is((select created_at from kata.get_context(:'in_time')), '2026-01-02 03:04:05.678+00', 'a superuser''s session may fake the clock');
set local kata.clock = '2026-01-02 03:04:05.679+00';
select ok(kata.create_context() > :'in_time', 'ids sort by creation');
set local kata.clock = '';
select ok(
  (select count(distinct substr(kata.create_context()::text, 16, 3)) > 20 from generate_series(1, 40)), 'roots are spread over buckets');
select is(
  substr(fixture.fork('in time', 0, 'bucket fork')::text, 15, 4), substr(:'in_time', 15, 4), 'a fork shares the bucket of its family');

-- Names

select throws_ok($$select kata.create_context('first')$$, 'KC007', null, 'a name is unique among live contexts');
select results_eq(
  $$select * from fixture.error($q$select kata.create_context('first')$q$)$$,
  $$values ('KC007', 'context name "first" is taken', 'A live context of tenant "default" has it.',
    'Choose another name, or find that context with kata.find_context.')$$,
  'a name that is taken is named, with its tenant');
select throws_ok($$select kata.create_context('')$$, 'KC017', null, 'a name is not empty');
select throws_ok($$select kata.create_context(repeat('é', 256))$$, 'KC017', null, 'a name of 256 characters is too long');
select lives_ok($$select kata.create_context(repeat('é', 255))$$, 'a name may have 255 characters, whatever their bytes');
select lives_ok($$select kata.create_context('First')$$, 'names differ by case');

select kata.update_context(:'first', 'second');
select is(kata.find_context('second'), :'first', 'a context can be renamed');
select is(kata.find_context('first'), null, 'the old name finds nothing');
select lives_ok($$select kata.create_context('first')$$, 'the old name is free');
select throws_ok(
  format($$select kata.update_context(%L, 'first')$$, :'first'), 'KC007', null, 'a context cannot be renamed to a name that is taken');
select lives_ok(format($$select kata.update_context(%L, 'second')$$, :'first'), 'a context may be given the name that it has');
select throws_ok(format($$select kata.update_context(%L, repeat('x', 256))$$, :'first'), 'KC017', null, 'a new name obeys the limit');
select kata.update_context(:'first', metadata => '{"ticket": 8}');
select results_eq(format('select name, metadata from kata.get_context(%L)', :'first'), $$values ('second', '{"ticket": 8}'::jsonb)$$,
  'a change of the metadata keeps the name');
select kata.update_context(:'first', '');
select results_eq(format('select name, metadata from kata.get_context(%L)', :'first'), $$values (null::text, '{"ticket": 8}'::jsonb)$$,
  'an empty name clears the name and keeps the metadata');

-- The examples of RFC 7396, appendix A, whose patch is an object.
select is(kata_data.merged(p.target::jsonb, p.patch::jsonb), p.result::jsonb, format('%s patched with %s', p.target, p.patch))
from (values
  ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'), ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'), ('{"a":"b"}', '{"a":null}', '{}'),
  ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'), ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'), ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
  ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'), ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
  ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'), ('[1,2]', '{"a":"b","c":null}', '{"a":"b"}'),
  ('{}', '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}')) p(target, patch, result);
select kata.update_context(:'first', metadata => '{"a": {"b": 1}, "ticket": null}', merge => true);
select kata.update_context(:'first', metadata => '{"a": {"c": 2}}', merge => true);
select is((select metadata from kata.get_context(:'first')), '{"a": {"b": 1, "c": 2}}', 'a merge keeps the fields that it does not name');
select throws_ok(
  format($$select kata.update_context(%L, metadata => jsonb_build_object('d', repeat('x', 65526)), merge => true)$$, :'first'),
  'KC017', null,
  'merged metadata obeys the limit');
select throws_ok(
  format($$select kata.update_context(%L, metadata => '[]', merge => true)$$, :'first'), 'KC017', null,
  'a merge patch of metadata is an object');

select kata.update_context(:'first', 'second');
select kata.delete_context(:'first');
select is(kata.find_context('second'), null, 'a deleted context is not found by its name');
select kata.create_context('second') as usurper \gset
select is(kata.find_context('second'), :'usurper', 'deleting frees the name');
select throws_ok(format('select kata.restore_context(%L)', :'first'), 'KC007', null, 'a context is not restored while its name is taken');
select isnt((select deleted_at from kata.get_context(:'first')), null, 'a context that was not restored stays deleted');
select kata.update_context(:'usurper', 'third');
select lives_ok(format('select kata.restore_context(%L)', :'first'), 'a context is restored once its name is free');
select is(kata.find_context('second'), :'first', 'a restored context has its name again');

-- Metadata

select throws_ok($$select kata.create_context(metadata => '[]')$$, 'KC017', null, 'metadata is an object');
select throws_ok($$select kata.create_context(metadata => '"text"')$$, 'KC017', null, 'metadata is not a string');
select throws_ok($$select kata.create_context(metadata => null)$$, 'KC017', null, 'metadata is not null');
select lives_ok(
  $$select kata.create_context(metadata => jsonb_build_object('a', repeat('x', 65536 - 9)))$$, 'metadata may have 65,536 bytes');
select throws_ok(
  $$select kata.create_context(metadata => jsonb_build_object('a', repeat('x', 65536 - 8)))$$, 'KC017', null,
  'metadata of 65,537 bytes is too long');
select throws_ok(
  $$select kata.create_context(metadata => jsonb_build_object('a', repeat('é', 32768)))$$, 'KC017', null, 'metadata is measured in bytes');
select throws_ok(format($$select kata.update_context(%L, metadata => '[]')$$, :'first'), 'KC017', null, 'new metadata is an object');
select throws_ok(
  format($$select kata.update_context(%L, metadata => jsonb_build_object('a', repeat('x', 65536)))$$, :'first'), 'KC017', null,
  'new metadata obeys the limit');

-- Archiving, deleting, restoring

select fixture.context('box') as box \gset
select fixture.talk('box', 'user 1, assistant 2');
select kata.archive_context(:'box');
select isnt((select archived_at from kata.get_context(:'box')), null, 'an archived context says since when');
select is(kata.find_context('box'), :'box', 'an archived context is found by its name');
select is(fixture.page('box'), '{1,2}', 'an archived context can be read');
select throws_ok(format($$select kata.append_message(%L, 'user', 'hi')$$, :'box'), 'KC006', null, 'an archived context takes no message');
select throws_ok(format($$select kata.append(%L, '[]')$$, :'box'), 'KC006', null, 'an archived context does not even take an empty batch');
select throws_ok(format($$select kata.close_calls(%L)$$, :'box'), 'KC006', null, 'calls of an archived context are not closed');
select throws_ok(format($$select kata.update_context(%L, 'crate')$$, :'box'), 'KC006', null, 'an archived context is not renamed');
select throws_ok(
  format($$select kata.put_token_counts(%L, 'cl100k_base', '{1}', '{1}')$$, :'box'), 'KC006', null, 'an archived context takes no counts');
select results_eq(
  format($$select code, message, hint from fixture.error($q$select kata.append_message(%L, 'user', 'hi')$q$)$$, :'box'),
  format($$values ('KC006', 'context %s is archived', 'Open it again with kata.unarchive_context, or fork it.')$$, :'box'),
  'the refusal to write to an archived context says how to open it');
select archived_at as since from kata.get_context(:'box') \gset
select kata.archive_context(:'box');
select is((select archived_at from kata.get_context(:'box')), :'since', 'archiving twice changes nothing');
select kata.unarchive_context(:'box');
select is((select archived_at from kata.get_context(:'box')), null, 'unarchiving opens a context');
select lives_ok(format($$select kata.unarchive_context(%L)$$, :'box'), 'unarchiving twice is nothing');
select lives_ok($$select fixture.talk('box', 'user 3')$$, 'an unarchived context takes messages again');

select kata.archive_context(:'box');
select kata.delete_context(:'box');
select isnt((select deleted_at from kata.get_context(:'box')), null, 'a deleted context can still be looked at');
select throws_ok(format('select %s', call), 'KC006', null, 'a deleted context is closed: ' || split_part(call, '(', 1))
from (values
  (format($$kata.append_message(%L, 'user', 'hi')$$, :'box')), (format($$kata.append(%L, '[]')$$, :'box')),
  (format('kata.close_calls(%L)', :'box')),
  (format('kata.get_message(%L, 1)', :'box')), (format('kata.messages(%L)', :'box')), (format('kata.usage(%L)', :'box')),
  (format('kata."window"(%L, 10)', :'box')), (format('kata.prompt(%L, 10)', :'box')), (format($$kata.update_context(%L, 'x')$$, :'box')),
  (format('kata.delete_context(%L)', :'box')), (format('kata.archive_context(%L)', :'box')), (format('kata.unarchive_context(%L)', :'box')),
  (format($$kata.put_token_counts(%L, 'cl100k_base', '{1}', '{1}')$$, :'box'))
) c(call);
select kata.restore_context(:'box');
select results_eq(
  format('select deleted_at is null, archived_at is not null, version from kata.get_context(%L)', :'box'), 'values (true, true, 3::bigint)',
  'restoring brings everything back, the archived state included');
select lives_ok(format('select kata.restore_context(%L)', :'box'), 'restoring a live context is nothing');
select throws_ok(
  format('select kata.append_message(%L, %L, %L)', :'box', 'user', 'hi'), 'KC006', null, 'a context restored as archived takes no message');

-- Unknown ones

select throws_ok(format('select %s', call), 'KC001', null, 'an unknown context is not found: ' || call)
from (values
  ($$kata.get_context('00000000-0000-7000-8000-000000000000')$$), ($$kata.update_context('00000000-0000-7000-8000-000000000000')$$),
  ($$kata.delete_context('00000000-0000-7000-8000-000000000000')$$), ($$kata.restore_context('00000000-0000-7000-8000-000000000000')$$),
  ($$kata.archive_context('00000000-0000-7000-8000-000000000000')$$), ($$kata.unarchive_context('00000000-0000-7000-8000-000000000000')$$),
  ($$kata.get_context(null)$$), ($$kata.delete_context(null)$$), ($$kata.restore_context(null)$$), ($$kata.archive_context(null)$$)
) c(call);
select throws_ok($$select kata.get_context('not-a-uuid')$$, '22P02', null, 'a value that is not a UUID is refused by its type');
select results_eq(
  $$select * from fixture.error($q$select kata.get_context('00000000-0000-7000-8000-000000000000')$q$)$$,
  $$values (
      'KC001', 'context 00000000-0000-7000-8000-000000000000 not found', 'Tenant "default" has no context of this id.',
      'List what there is with kata.list_contexts.')$$,
  'a context that is not found is named, with the tenant that was searched');

-- What counts as a change

set local kata.clock = '2030-01-01 00:00:00+00';
select fixture.context('changing') as changing \gset
set local kata.clock = '2030-01-01 00:01:00+00';
select fixture.talk('changing', 'user 1');
select is((select updated_at from kata.get_context(:'changing')), '2030-01-01 00:01:00+00', 'an append is a change');
set local kata.clock = '2030-01-01 00:02:00+00';
select kata.update_context(:'changing', metadata => '{}');
select is((select updated_at from kata.get_context(:'changing')), '2030-01-01 00:02:00+00', 'new metadata is a change');
select is((select created_at from kata.get_context(:'changing')), '2030-01-01 00:00:00+00', 'a change leaves the time of creation alone');
set local kata.clock = '';

-- Policies

select is((fixture.stored(kata.create_context(policy => '{"budget": 32000, "threshold": null}'))).policy, '{"budget": 32000}',
  'a policy keeps the fields that are given');
select throws_ok($$select kata.create_context(policy => '[]')$$, 'KC013', null, 'a policy is an object');
select throws_ok($$select kata.create_context(policy => '7')$$, 'KC013', null, 'a policy is not a number');
select throws_ok($$select kata.create_context(policy => 'null')$$, 'KC013', null, 'a policy is not JSON null');
select throws_ok($$select kata.create_context(policy => '{"bugdet": 1}')$$, 'KC013', null, 'a field of a policy must be known');
select throws_ok($$select kata.create_context(policy => '{"bugdet": null}')$$, 'KC013', null, 'an unknown field is refused even as null');
select throws_ok(
  $$select kata.create_context(policy => '{"budget": 32000, "bugdet": 1}')$$, 'KC013', null, 'one unknown field among known ones is refused'
);
select results_eq(
  $$select code, message, detail from fixture.error($q$select kata.create_context(policy => '{"bugdet": 1}')$q$)$$,
  $$values ('KC013', 'policy field "bugdet" is unknown', 'Its value is 1.')$$,
  'an unknown field is named');
select results_eq(
  $$select * from fixture.error($q$select kata.create_context(policy => '{"threshold": 2}')$q$)$$,
  $$values (
      'KC013', 'policy field "threshold" is out of range or of the wrong type', 'Its value is 2.',
      'Pass a number from 0.01 to 1, or null for the default.')$$,
  'a value out of range is named, with the range');

select set_eq(
  'select name, fallback from kata_data.policy_fields()',
  $$values('enabled', 'true'::jsonb), ('budget', '128000'), ('threshold', '0.8'), ('preserve_recent_count', '10'),
    ('preserve_roles', '["system"]'),
    ('strategy', '"summarize"'), ('every_messages', 'null'), ('min_interval_seconds', '60'), ('debounce_seconds', '0'),
    ('min_gain_tokens', '500'),
    ('open_call_grace_seconds', '600'), ('summary_role', '"user"'), ('elide_over_tokens', '2000'), ('max_fork_depth', '10'),
    ('max_failures', '3'),
    ('strict', 'true'), ('notify', 'false'), ('search_config', '"english"'), ('format', '"openai"'), ('model', 'null'),
    ('cache', 'null'), ('keep_tokens', 'null')$$,
  'the fields of a policy and their defaults are those of the interface');
select lives_ok(
  format('select kata.create_context(policy => %L)', jsonb_build_object(f.name, null)), f.name || ' may be null, for the default')
from kata_data.policy_fields() f;
select lives_ok(
  format('select kata.create_context(policy => %L)', jsonb_build_object(f.name, f.fallback)), f.name || ' may be what it is by default')
from kata_data.policy_fields() f;
select lives_ok(
  format('select kata.create_context(policy => %L)', jsonb_build_object(f.name, f.low)), f.name || ' may be as low as its range')
from kata_data.policy_fields() f where f.low is not null;
select lives_ok(
  format('select kata.create_context(policy => %L)', jsonb_build_object(f.name, f.high)), f.name || ' may be as high as its range')
from kata_data.policy_fields() f where f.high is not null;
select throws_ok(
  format('select kata.create_context(policy => %L)', jsonb_build_object(f.name, f.low - case f.kind when 'integer' then 1 else 0.001 end)),
  'KC013', null,
  f.name || ' may not be lower than its range')
from kata_data.policy_fields() f where f.low is not null;
select throws_ok(
  format('select kata.create_context(policy => %L)', jsonb_build_object(f.name, f.high + case f.kind when 'integer' then 1 else 0.001 end)),
  'KC013', null,
  f.name || ' may not be higher than its range')
from kata_data.policy_fields() f where f.high is not null;
select throws_ok(
  format('select kata.create_context(policy => %L)', jsonb_build_object(f.name, f.low + 0.5)), 'KC013', null, f.name || ' is a whole number'
)
from kata_data.policy_fields() f where f.kind = 'integer';
select throws_ok(format('select kata.create_context(policy => %L)', jsonb_build_object(f.name, w.value)), 'KC013', null,
  format('%s is %s, not %s', f.name, f.kind, jsonb_typeof(w.value)))
from kata_data.policy_fields() f
cross join (values ('"x"'::jsonb), ('7'), ('true'), ('["x"]'), ('{"x": 1}')) w(value)
where jsonb_typeof(w.value) <> case f.kind
  when 'integer' then 'number' when 'choice' then 'string' when 'text' then 'string' when 'choices' then 'array' else f.kind end;
select throws_ok(
  format('select kata.create_context(policy => %L)', jsonb_build_object(f.name, 'nonsense')), 'KC013', null,
  f.name || ' is one of its choices')
from kata_data.policy_fields() f where f.kind = 'choice';
select lives_ok(
  format('select kata.create_context(policy => %L)', jsonb_build_object(f.name, c.choice)), format('%s may be %s', f.name, c.choice))
from kata_data.policy_fields() f cross join unnest(f.choices) c(choice) where f.kind = 'choice';
select throws_ok($$select kata.create_context(policy => '{"summary_role": "tool"}')$$, 'KC013', null, 'a summary is not a tool message');
select lives_ok(
  $$select kata.create_context(policy => '{"preserve_roles": ["system", "developer", "user", "assistant", "tool"]}')$$,
  'every role may be preserved');
select lives_ok($$select kata.create_context(policy => '{"preserve_roles": []}')$$, 'no role need be preserved');
select throws_ok(
  $$select kata.create_context(policy => '{"preserve_roles": ["user", "robot"]}')$$, 'KC013', null, 'an unknown role cannot be preserved');
select throws_ok(
  $$select kata.create_context(policy => '{"preserve_roles": ["user", null]}')$$, 'KC013', null, 'null is not a role to preserve');
select throws_ok(
  $$select kata.create_context(policy => '{"preserve_roles": [["user"]]}')$$, 'KC013', null, 'roles to preserve are not nested');

-- Presets

select is((fixture.stored(kata.create_context(preset => 'audit'))).policy, '{"enabled": false}', 'a preset gives its policy');
select is((fixture.stored(kata.create_context(preset => 'audit', policy => '{"budget": 9, "enabled": true}'))).policy,
  '{"enabled": true, "budget": 9}', 'a policy patches its preset');
select is((fixture.stored(kata.create_context(preset => 'audit', policy => '{"enabled": null}'))).policy, '{}',
  'null in a policy resets a field of its preset to the default');
select throws_ok($$select kata.create_context(preset => 'nonsense')$$, 'KC013', null, 'a preset must be known');
select results_eq(
  $$select code, message, hint from fixture.error($q$select kata.create_context(preset => 'nonsense')$q$)$$,
  $$values ('KC013', 'policy preset "nonsense" is unknown', 'Presets are default, sequential, multi_phase, audit.')$$,
  'the error for an unknown preset lists the known ones');
select lives_ok(format('select kata_data.check_policy(%L)', p.policy), format('preset %s is a policy', p.name))
from kata_data.policy_presets() p;

-- Lists

select fixture.as_role('kata_service', $$select count(kata.create_context('listed ' || i)) from generate_series(1, 7) i$$, 'listing');
set local kata.tenant = 'listing';
select set_eq(
  $$select name from kata.list_contexts()$$, $$select 'listed ' || i from generate_series(1, 7) i$$,
  'a list has the live contexts of the tenant');
select results_eq(
  'select context_id from kata.list_contexts()', 'select context_id from kata.list_contexts() order by context_id desc',
  'a list has the newest first');
select results_eq(
  $$select l.* from kata.list_contexts() l$$,
  $$select g.* from kata.list_contexts() l cross join lateral kata.get_context(l.context_id) g$$,
  'a list shows contexts as they are shown one by one');
select results_eq(
  $$with recursive page as (
      select 1 as page, l.context_id from kata.list_contexts(null, 3) l
      union all
      select p.page + 1, l.context_id
      from (select p.page, p.context_id, row_number() over (order by p.context_id) = 1 as is_last from page p) p
      cross join lateral kata.list_contexts(p.context_id, 3) l
      where p.is_last and p.page < 10
    )
    select context_id from page$$,
  'select context_id from kata.list_contexts()',
  'pages have every context once, in order');
select is((select count(*) from kata.list_contexts(null, 1)), 1::bigint, 'a page may have one row');
select is(
  (select count(*) from kata.list_contexts((select context_id from kata.list_contexts() order by 1 limit 1))), 0::bigint,
  'after the oldest there is nothing');
select throws_ok($$select kata.list_contexts(max_rows => 0)$$, 'KC017', null, 'a page of no rows is refused');
select throws_ok($$select kata.list_contexts(max_rows => -1)$$, 'KC017', null, 'a page of negative length is refused');
select throws_ok($$select kata.list_contexts(max_rows => 1001)$$, 'KC017', null, 'a page of 1,001 rows is refused');
select throws_ok($$select kata.list_contexts(max_rows => null)$$, 'KC017', null, 'a page has a length');
select lives_ok($$select kata.list_contexts(max_rows => 1000)$$, 'a page may have 1,000 rows');
select kata.delete_context(kata.find_context('listed 2')), kata.archive_context(kata.find_context('listed 5'));
select set_eq(
  $$select name from kata.list_contexts()$$, $$select 'listed ' || i from generate_series(1, 7) i where i <> 2$$,
  'a list leaves deleted contexts out, and has archived ones');
select set_eq(
  $$select name from kata.list_contexts(include_deleted => true)$$, $$select 'listed ' || i from generate_series(1, 7) i$$,
  'a list has deleted contexts on demand');
select kata.unarchive_context(kata.find_context('listed 5'));
select kata.update_context(context_id, metadata => jsonb_build_object('app', jsonb_build_object('even', right(name, 1)::int % 2 = 0)))
from kata.list_contexts();
select kata.fork(kata.find_context('listed 4'), name => 'listed 4/fork', metadata => '{"app": {"even": true}, "more": 1}');
select kata.create_context('Listed 8'), kata.create_context('listed%');
select set_eq(c.call, c.names, c.description) from (values
  ($$select name from kata.list_contexts(metadata => '{"app": {"even": true}}')$$, $$values ('listed 4/fork'), ('listed 6'), ('listed 4')$$,
    'a list has the contexts whose metadata contain an object'),
  ($$select name from kata.list_contexts(metadata => '{"app": {"even": true}}', roots_only => true)$$,
    $$values ('listed 6'), ('listed 4')$$,
    'a list has roots only on demand'),
  ($$select name from kata.list_contexts(name_prefix => 'listed 4')$$, $$values ('listed 4/fork'), ('listed 4')$$,
    'a list has the contexts whose name begins with a text'),
  ($$select name from kata.list_contexts(name_prefix => 'listed%')$$, $$values ('listed%')$$, 'a prefix is not a pattern'),
  ($$select name from kata.list_contexts(name_prefix => 'listed 2')$$, $$select name from kata.list_contexts() where false$$,
    'a deleted context is not listed by its name'),
  ($$select name from kata.list_contexts(name_prefix => 'listed 2', include_deleted => true)$$, $$values ('listed 2')$$,
    'a deleted context is listed by its name on demand')) c(call, names, description);
select set_eq(
  $$select name from kata.list_contexts(name_prefix => '')$$, $$select name from kata.list_contexts() where name is not null$$,
  'the empty text is a prefix of every name');
select results_eq(
  $$select context_id from kata.list_contexts(
      kata.find_context('listed 6'), name_prefix => 'listed ', max_rows => 2, roots_only => true, metadata => '{"app": {}}')$$,
  $$select context_id from kata.list_contexts(kata.find_context('listed 6'))
    where name ~ '^listed [1-7]$' and parent_id is null order by context_id desc limit 2$$,
  'filters and pages go together');
select throws_ok($$select kata.list_contexts(order_by => 'name')$$, 'KC017', null, 'an order of contexts that is unknown is refused');
select throws_ok($$select kata.list_contexts(order_by => null)$$, 'KC017', null, 'a list of contexts has an order');
set local kata.tenant = '';
set local kata.clock = '2031-01-01 00:00:00+00';
select fixture.as_role('kata_service', $$select kata.append_message(kata.find_context('listed 3'), 'user', 'late')$$, 'listing');
set local kata.clock = '2031-01-02 00:00:00+00';
select fixture.as_role('kata_service', $$select kata.update_context(kata.find_context('listed 1'), metadata => '{}')$$, 'listing');
reset kata.clock;
set local kata.tenant = 'listing';
select results_eq(
  $$select name from kata.list_contexts(order_by => 'updated', max_rows => 2)$$, $$values ('listed 1'), ('listed 3')$$,
  'a list is by the last append or change on demand');
select results_eq(
  $$select name from kata.list_contexts(kata.find_context('listed 1'), order_by => 'updated', max_rows => 1, name_prefix => 'listed ')$$,
  $$values ('listed 3')$$, 'a page by the last change begins after a context');
select is(
  (select count(*) from kata.list_contexts(order_by => 'updated')), (select count(*) from kata.list_contexts()), 'both orders have all');
set local kata.tenant = '';

-- What a person types

set local kata.tenant = 'typing';
set local kata.clock = '2027-05-06 07:08:09.123+00';
select kata.create_context('typed') as typed \gset
set local kata.clock = '2027-05-06 07:08:09.124+00';
select kata.create_context('typed too') as typed_too \gset
select kata.create_context(:'typed') as typed_named \gset
set local kata.clock = '';
select kata.create_context('01') as typed_digits \gset
select is(kata.resolve_context(a.selector), a.context_id::uuid, a.description)
from (values
  (:'typed', :'typed', 'an id goes before a name that looks like it'), (upper(:'typed'), :'typed', 'an id may be in capitals'),
  (replace(:'typed', '-', ''), :'typed', 'or without hyphens'),
  ('typed', :'typed', 'a name is enough'), ('typed too', :'typed_too', 'a name is meant whole'),
  ('01', :'typed_digits', 'a name goes before the beginning of an id'),
  (left(:'typed', 13), :'typed', 'so is a beginning that only one id has'),
  (left(replace(:'typed', '-', ''), 12), :'typed', 'without hyphens, too'), (left(:'typed_too', 35), :'typed_too', 'all but one digit'),
  (left(:'typed', 14), :'typed', 'a beginning may end in a hyphen')
) a(selector, context_id, description);
select throws_ok(format('select kata.resolve_context(%L)', a.selector), a.code, null, a.description)
from (values
  (left(:'typed', 12), 'KC017', 'a beginning of several ids is not enough'), ('0', 'KC017', 'not a digit that all begin with'),
  ('typed to', 'KC001', 'the beginning of a name is not enough'),
  ('f', 'KC001', 'no id begins so'), ('ffffffff-ffff-ffff-ffff-ffffffffffff', 'KC001', 'an unused id is refused'),
  (:'typed' || '0', 'KC001', 'an id has 32 digits'), ('', 'KC001', 'nothing is not enough'), ('-', 'KC001', 'nor is a hyphen'),
  (overlay(left(:'typed', 14) placing '-' from 3), 'KC001', 'hyphens stand where an id has them'),
  ('g', 'KC001', 'an id has no such digit'), (null, 'KC001', 'null is not a context'), ('%', 'KC001', 'nothing is a pattern'),
  ('_', 'KC001', 'nothing at all')
) a(selector, code, description);
select results_eq(
  format('select * from fixture.error(%L)', format('select kata.resolve_context(%L)', left(:'typed', 12))),
  format(
    $$values (
        'KC017', 'several contexts match "%s"', 'Two of them are %s and %s.', 'Pass the id.')$$,
    left(:'typed', 12), :'typed', least(:'typed_too', :'typed_named')),
  'the ids that begin so are shown');
select results_eq(
  $$select * from fixture.error($q$select kata.resolve_context('stranger')$q$)$$,
  $$values (
      'KC001', 'context "stranger" not found', 'Tenant "typing" has no live context of this id or name, nor one whose id begins so.',
      'List what there is with kata.list_contexts.')$$,
  'what is not found is said, and whose it would be');
select kata.delete_context(:'typed');
select is(kata.resolve_context(:'typed'), :'typed', 'the id of a deleted context is known');
select throws_ok($$select kata.resolve_context('typed')$$, 'KC001', null, 'its name is not');
select throws_ok(format('select kata.resolve_context(%L)', left(:'typed', 13)), 'KC001', null, 'a beginning of its id neither');
select is(kata.resolve_context(left(:'typed', 13), true), :'typed', 'unless deleted ones are asked for');
select is(kata.resolve_context('typed', true), :'typed', 'and so is its name');
select kata.create_context('typed') as typed_again \gset
select is(kata.resolve_context('typed', true), :'typed_again', 'a live context goes before a deleted one of its name');
select kata.delete_context(:'typed_again');
select results_eq(
  $$select * from fixture.error($q$select kata.resolve_context('typed', true)$q$)$$,
  format($$values ('KC017', 'several contexts match "typed"', 'Two of them are %s and %s.', 'Pass the id.')$$,
    greatest(:'typed_again', :'typed'), least(:'typed_again', :'typed')),
  'a name that several deleted contexts had is not enough');
select kata.create_context(left(:'typed', 8)) as typed_prefix \gset
select kata.delete_context(:'typed_prefix');
select throws_ok(
  format('select kata.resolve_context(%L, true)', left(:'typed', 8)), 'KC017', null,
  'nor one that also is the beginning of another id');
select throws_ok($$select kata.resolve_context('typed')$$, 'KC001', null, 'it names no live context');
set local kata.tenant = '*';
select is(kata.resolve_context(:'typed_too'), :'typed_too', 'acting for every tenant, an id is known');
select is(kata.resolve_context(left(:'typed_too', 35)), :'typed_too', 'and its beginning');
select throws_ok($$select kata.resolve_context('typed too')$$, 'KC001', null, 'a name is not, it may be several tenants''');
select throws_ok($$select kata.resolve_context('typed', true)$$, 'KC001', null, 'nor is that of a deleted context');
set local kata.tenant = 'other';
select throws_ok(format('select kata.resolve_context(%L)', a.selector), 'KC001', null, a.description)
from (
  values (:'typed_too', 'another tenant''s id is not found'), (left(:'typed_too', 35), 'nor the beginning of one'),
  ('typed too', 'nor a name')) a(selector, description);
set local kata.tenant = '';

-- Inactive forks

set local kata.clock = '2030-06-01 00:00:00+00';
select fixture.context('trunk') as trunk \gset
select fixture.talk('trunk', 'user 1, assistant 1');
select fixture.fork('trunk', 2, 'quiet') as quiet \gset
select fixture.fork('trunk', 2, 'busy') as busy \gset
select fixture.fork('trunk', 2, 'gone') as gone \gset
select kata.delete_context(:'gone');
set local kata.clock = '2030-06-09 00:00:00+00';
select fixture.talk('busy', 'user 1');
set local kata.clock = '2030-06-10 00:00:00+00';
select throws_ok($$select kata.archive_inactive(interval '-1 day')$$, 'KC017', null, 'idle time is not negative');
select throws_ok($$select kata.archive_inactive(null)$$, 'KC017', null, 'idle time must be said');
select results_eq(
  $$select context_id, name, updated_at
    from kata.archive_inactive(interval '7 days', dry_run => true)
    where name in ('trunk', 'quiet', 'busy', 'gone')$$,
  format($$values (%L::uuid, 'quiet', '2030-06-01 00:00:00+00'::timestamptz)$$, :'quiet'),
  'a dry run names the forks that nothing happened in');
select is((select archived_at from kata.get_context(:'quiet')), null, 'a dry run archives nothing');
select results_eq(
  $$select context_id, name, updated_at from kata.archive_inactive(interval '7 days') where name in ('trunk', 'quiet', 'busy', 'gone')$$,
  format($$values (%L::uuid, 'quiet', '2030-06-01 00:00:00+00'::timestamptz)$$, :'quiet'),
  'what is archived is what the dry run named');
select is((select archived_at from kata.get_context(:'quiet')), '2030-06-10 00:00:00+00', 'an inactive fork is archived');
select is(
  (
    select count(*)
    from unnest(array[:'trunk', :'busy', :'gone']::uuid[]) c(id)
    cross
    join lateral kata.get_context(c.id) g
    where g.archived_at is not null),
  0::bigint,
  'roots, active forks and deleted ones are left alone');
select is_empty($$select from kata.archive_inactive(interval '7 days') where name = 'quiet'$$, 'an archived fork is not archived again');
set local kata.clock = '';

-- Requests that are sent twice

select kata.create_context('once', idempotency_key => 'k1') as once \gset
select is(kata.create_context('once', idempotency_key => 'k1'), :'once', 'the same request creates one context');
select throws_ok(
  $$select kata.create_context('twice', idempotency_key => 'k1')$$, 'KC019', null, 'another request under the same key is refused');
select is(kata.find_context('twice'), null, 'a refused request creates nothing');

-- In one statement

select throws_ok(
  format('select count(*) from kata.create_context() c(id) cross join lateral kata.%s r', r.call), 'KC001', null,
  'what a statement creates it does not read: ' || r.call)
from string_to_table(
  'get_context(c.id);get_policy(c.id);usage(c.id);messages(c.id);state_at(c.id);history(c.id);"window"(c.id, 100);prompt(c.id, 100);'
    'tree(c.id);ancestry(c.id);forks(c.id);artifacts(c.id);compaction_status(c.id);compactions(c.id);checkpoints(c.id);erasures(c.id)',
  ';') r(call);
select is(
  (select append_message from kata.create_context() c(id) cross join lateral kata.append_message(c.id, 'user', 'hi')), 1::bigint,
  'what changes something finds it');

select * from finish();
rollback;
