-- Artifacts that messages name are found as of any version and on any fork: tools, files, URLs, identifiers, and those of callers.

begin;
select plan(187);

create function pg_temp.say(context text, content text, role text default 'user') returns bigint
language sql
as $$
  select kata.append_message(fixture.id(context), role, content, 1)
$$;
create function pg_temp.calls(context text, variadic calls text[]) returns bigint
language sql
as $$
  select kata.append_message(fixture.id(context), 'assistant', null, 1, tool_calls => (
    select jsonb_agg(jsonb_build_object('id', 'c' || c.place, 'type', 'function',
      'function',
      jsonb_build_object(
        'name', split_part(c.call, ' ', 1), 'arguments', substr(c.call, length(split_part(c.call, ' ', 1)) + 2))) order by c.place)
    from unnest(calls) with ordinality c(call, place)))
$$;
create function pg_temp.result(context text, content text default 'ok', call_id text default 'c1') returns bigint
language sql
as $$
  select kata.append_message(fixture.id(context), 'tool', content, 1, call_id)
$$;
-- The artifacts of a kind that a text names, in a context of its own.
create function pg_temp.refs(kind text, content text) returns text[]
language plpgsql
as $$
declare
  v_context_id uuid := kata.create_context();
begin
  perform kata.append_message(v_context_id, 'user', content, 1);
  return array(select a.ref from kata.artifacts(v_context_id, kind) a order by a.ref);
end
$$;
-- The fate of files that a call names.
create function pg_temp.files(call text, tool text default 'bash') returns jsonb
language plpgsql
as $$
declare
  v_name text := 'files ' || gen_random_uuid();
begin
  perform kata.create_context(v_name), pg_temp.calls(v_name, tool || ' ' || call);
  return (
    select coalesce(
      jsonb_object_agg(
        a.ref,
        case
          when a.detail - 'access' = '{}' then a.detail -> 'access'
          else a.detail - 'access' end),
      '{}')
    from kata.artifacts(fixture.id(v_name), 'file') a);
end
$$;
create function pg_temp.commands(command text) returns jsonb
language sql
as $$
  select pg_temp.files(jsonb_build_object('command', command)::text)
$$;
create function pg_temp.shown(context text, kind text default null, at bigint default null) returns jsonb
language sql
as $$
  select coalesce(jsonb_object_agg(a.kind || ' ' || a.ref, jsonb_build_array(a.first_version, a.last_version, a.mentions, a.detail)), '{}')
  from kata.artifacts(fixture.id(context), kind, at) a
$$;
create function pg_temp.extract(context text) returns bigint
language sql
as $$
  select kata_data.extract_artifacts(fixture.id(context), 9223372036854775807)
$$;

-- Identifiers

select is(pg_temp.refs('id', t.content), t.refs, 'identifiers in: ' || t.content)
from (values
  ('Sure, it''s sofia_kim_7287.', '{sofia_kim_7287}'::text[]),
  ('My reservation is OI5L9G, with **HAT083**/HAT084!', '{HAT083,HAT084,OI5L9G}'), ('4BMN53 and KA7I60', '{4BMN53,KA7I60}'),
  ('order 123456 and invoice #98765, ticket number: 4711', '{#98765,123456,4711,98765}'), ('see issue #1867 (#12)', '{#12,#1867,1867}'),
  ('Reservation ID: AQLBTL.', '{AQLBTL}'),
  ('fixed in ad388c7..168a845', '{168a845,ad388c7}'),
  ('3739671ad08541e759230997bf0e50dcb8059d05 is the commit', '{3739671ad08541e759230997bf0e50dcb8059d05}'),
  ('id 0190163d-8694-739b-aea5-966c26f8ad91', '{0190163d-8694-739b-aea5-966c26f8ad91}'),
  ('JIRA-123, ORD-2024-00017', '{JIRA-123,ORD-2024-00017}'),
  ('the ticket is TICKET-4711, the order ORDERS-12; booking ABCDEF-based, order 4711-22', '{4711,ABCDEF,ORDERS-12,TICKET-4711}'),
  ('cus_9s6XKzkNRiz8i3 paid with 3MtwBwLkdIwHu7ix28', '{3MtwBwLkdIwHu7ix28,cus_9s6XKzkNRiz8i3}'),
  ('write to ann.lee+x@example.co.uk', '{ann.lee+x@example.co.uk}'),
  ('gift card 7480005', '{7480005}'), ('{"order_id": 12, "ok": true, "line_number": 1474, "country_code": "US", "price": 99.95}', '{12}'),
  ('{"user": {"userId": "u-1", "reservations": ["NO6JO3", "ABCDEF"]}}', '{ABCDEF,NO6JO3,u-1}'),
  (
    'PLEASE ALWAYS read the text: it costs 1500 dollars, 100kb, 345ms, at 10:30 on 2024-05-27T10:00:00, line1474, in UTF-8 or SHA256, '
      'python3.9 x86_64',
    '{}'),
  ('key sk-live_1234567890abc, ghp_16C7e42F292c6912E7710c838347Ae178B4a, AKIAIOSFODNN7EXAMPLE1', '{}'),
  ('{"api_key": "abc123456", "access_token": "zzz999888"}', '{}')
) t(content, refs);

-- How a file is named: changed, read, listed, mentioned

create function pg_temp.runs(id text, command text) returns jsonb
language sql
as $$
  select jsonb_build_object('role', 'assistant', 'tool_calls', jsonb_build_array(jsonb_build_object(
    'id', id, 'type', 'function', 'function',
    jsonb_build_object('name', 'bash', 'arguments', jsonb_build_object('command', command)::text))))
$$;
select fixture.context('access') as access \gset
select kata.append(:'access', jsonb_build_array(
  '{"role": "user", "content": "lib/a.py and lib/b.py, please; node_modules/x/index.js is not ours."}'::jsonb,
  pg_temp.runs('1', 'ls -l lib; grep -rn login lib; find node_modules .git'),
  jsonb_build_object(
    'role', 'tool', 'tool_call_id', '1', 'content',
    E'-rw-r--r-- 1 ann ann 120 May  5 10:00 shop.py\nlib/d.py:12: import login, see lib/e.py\n./lib/b.py\n'
      'node_modules/x/index.js\n/shop/.git/objects/ab/12.pack\nlib/site-packages/y.py\nlib/site-packages/z.py'),
  pg_temp.runs('2', 'cat lib/b.py node_modules/y/index.js; rm lib/d.py'),
  '{"role": "tool", "tool_call_id": "2", "content": "lib/b.py"}'::jsonb,
  pg_temp.runs('3', 'cat lib/d.py'),
  '{"role": "tool", "tool_call_id": "3", "content": "no lib/d.py"}'::jsonb));
create temporary table accessed as select pg_temp.shown('access', 'file') as files;
select is((select files from accessed), (
  select jsonb_object_agg('file ' || f.ref, jsonb_build_array(f.first, f.last, f.mentions, f.detail))
  from (values
    ('lib/a.py', 1, 1, 1, '{"access": "mentioned"}'::jsonb), ('lib/b.py', 1, 5, 4, '{"access": "read"}'),
    ('lib', 2, 2, 1, '{"access": "read"}'),
    ('shop.py', 3, 3, 1, '{"access": "listed"}'),
    ('lib/d.py', 3, 7, 4, '{"access": "modified", "deleted": true}'), ('lib/e.py', 3, 3, 1, '{"access": "mentioned"}'),
    ('node_modules', 1, 4, 3, '{"access": "listed"}'), ('/shop/.git', 3, 3, 1, '{"access": "listed"}'),
    ('lib/site-packages', 3, 3, 1, '{"access": "listed"}'), ('node_modules/y/index.js', 4, 4, 1, '{"access": "read"}'))
    f(ref, first, last, mentions, detail)),
  'the strongest access holds, and dependencies are named by their folder unless a call reads them');
select is(
  pg_temp.shown('access', 'file', 5) #> '{file lib/d.py,3}', '{"access": "modified", "deleted": true}',
  'the last change holds as of then');
select kata_data.extract_artifacts(:'access', 2), kata_data.extract_artifacts(:'access', 5), kata_data.extract_artifacts(:'access', 7);
select is(pg_temp.shown('access', 'file'), (select files from accessed), 'the index says the same');
select is(
  pg_temp.shown('access', 'file', 3) #> '{file lib/b.py,3}', '{"access": "listed"}', 'also as of a version before');
select is_empty($$select * from kata.verify(fixture.id('access'))$$, 'and verify finds it right');

-- Files

select is(pg_temp.refs('file', t.content), t.refs, 'files in: ' || t.content)
from (values
  ('open ./src/marshmallow/fields.py:1474, then setup.py and tox.ini.', '{setup.py,src/marshmallow/fields.py,tox.ini}'::text[]),
  ('/etc/nginx/nginx.conf and ~/.ssh/config, ../lib/a.c', '{../lib/a.c,/etc/nginx/nginx.conf,~/.ssh/config}'),
  ('(`docs/guide.md`)', '{docs/guide.md}'), ('src/components/ has Button.tsx', '{Button.tsx,src/components}'),
  ('.gitignore and .env', '{.env,.gitignore}'), ('File "/app/main.py", line 3', '{/app/main.py}'),
  (
    '{"path": "Makefile", "paths": ["LICENSE", "a b.txt"], "nested": "{\"file_path\": \"deep/er.txt\"}"}',
    '{LICENSE,Makefile,"a b.txt",deep/er.txt}'),
  ('either/or and/or 1/2, I/O, 05/27/2024, silver/gold: e.g. self.json, dt.timedelta, value.total_seconds()', '{}'),
  ('see https://a.example/b/c.html', '{}'),
  ('edit c:\work\shop\src\auth.ts, C:/work/new.tf or \\build\share\a.md', array['C:/work/new.tf', '\\build\share\a.md',
  'c:\work\shop\src\auth.ts']),
  ('at file:///home/ann/a%20b.txt and file:///C:/x/y.txt', array['/home/ann/a b.txt', 'C:/x/y.txt'])
) t(content, refs);
select is(pg_temp.commands(t.command), t.files, 'files of: ' || t.command)
from (values
  ('cat LICENSE', '{"LICENSE": "read"}'::jsonb), ('python reproduce.py', '{"reproduce.py": "read"}'),
  ('rm -rf build/out.txt ./b.txt', '{"build/out.txt": {"deleted": true}, "b.txt": {"deleted": true}}'),
  ('git mv a.py src/b.py', '{"a.py": {"deleted": true, "renamed_to": "src/b.py"}, "src/b.py": {"renamed_from": "a.py"}}'),
  (
    'cd x && mv a.py b.py dir/',
    '{"a.py": {"deleted": true, "renamed_to": "dir/a.py"}, "b.py": {"deleted": true, "renamed_to": "dir/b.py"}, '
      '"dir/a.py": {"renamed_from": "a.py"}, "dir/b.py": {"renamed_from": "b.py"}}'),
  ('cp a.py b.py', '{"a.py": "read", "b.py": "modified"}'),
  ('sed -i s/x/y/ conf/app.ini; touch new.txt', '{"conf/app.ini": "modified", "new.txt": "modified"}'),
  ('sed -n 1,5p conf/app.ini', '{"conf/app.ini": "read"}'),
  (E'cat > out/a.txt <<EOF\nx => y\nEOF\necho 1 >> log.txt 2>/dev/null', '{"out/a.txt": "modified", "log.txt": "modified"}'),
  ('ls -la', '{}'), ('create reproduce.py', '{"reproduce.py": "modified"}'),
  ($c$sed -i '' 's|from "../a"|from "../b"|g' src/a.ts$c$, '{"src/a.ts": "modified", "../a": "mentioned", "../b": "mentioned"}'),
  (E'cat > a.sh <<"END"\nrm -rf lib.py\nEND\nrm b.sh', '{"a.sh": "modified", "b.sh": {"deleted": true}, "lib.py": "mentioned"}'),
  ($c$bash -lc 'git rm "old name" && perl -pi -e "s/a/b/" x.pl'$c$, '{"old name": {"deleted": true}, "x.pl": "modified"}'),
  ('del C:\work\new.tf', '{"C:\\work\\new.tf": {"deleted": true}}')
) t(command, files);
select is(pg_temp.files(t.arguments, t.tool), t.files, format('files of %s %s', t.tool, t.arguments))
from (values
  ('{"path": "setup.py"}', 'open', '{"setup.py": "read"}'::jsonb),
  ('{"file_path": "a/b.txt", "content": "see c/d.txt"}', 'write_file', '{"a/b.txt": "modified", "c/d.txt": "mentioned"}'),
  ('{"filename": "reproduce.py"}', 'create', '{"reproduce.py": "modified"}'),
  ('{"command": "view", "path": "/x/y.py"}', 'str_replace_based_edit_tool', '{"/x/y.py": "read"}'),
  ('{"command": "create", "path": "/x/y.py"}', 'str_replace_based_edit_tool', '{"/x/y.py": "modified"}'),
  ('{"filePath": "/x/y.py"}', 'MultiEdit', '{"/x/y.py": "modified"}'), ('{"path": "a.txt"}', 'delete_file', '{"a.txt": {"deleted": true}}'),
  (
    '{"old_path": "a.txt", "new_path": "b.txt"}', 'rename_file',
    '{"a.txt": {"deleted": true, "renamed_to": "b.txt"}, "b.txt": {"renamed_from": "a.txt"}}'),
  ('{"new_path": "b.txt"}', 'rename_file', '{"b.txt": "modified"}'),
  ('{"source_path": "a.txt", "target_path": "b.txt"}', 'copy_file', '{"a.txt": "read", "b.txt": "modified"}'),
  (
    '{"input": "*** Begin Patch\n*** Update File: a.py\n*** Add File: b.py\n*** Delete File: c.py\n*** End Patch"}', 'apply_patch',
    '{"a.py": "modified", "b.py": "modified", "c.py": {"deleted": true}}'),
  ('{"edits": [{"path": "a.py"}, {"path": "b.py"}]}', 'edit_files', '{"a.py": "modified", "b.py": "modified"}'),
  ('{"request": "{\"edit\": {\"path\": \"a.py\"}}"}', 'edit', '{"a.py": "modified"}'),
  ('no JSON, but src/a.py', 'edit', '{"src/a.py": "mentioned"}')
) t(arguments, tool, files);
select is(
  pg_temp.refs(
    'file',
    E'diff --git a/src/x.py b/src/x.py\nindex 1..2\n--- a/src/x.py\n+++ b/src/x.py\n@@\ndiff --git a/o.txt b/n.txt\nrename from '
      'o.txt\nrename to n.txt\n'),
  '{n.txt,o.txt,src/x.py}', 'a patch names its files without prefixes');

-- Addresses

select is(pg_temp.refs('url', t.content), t.refs, 'addresses in: ' || t.content)
from (values
  ('see https://github.com/a/b/blob/dev/c.py#L1474.', '{https://github.com/a/b/blob/dev/c.py#L1474}'::text[]),
  ('[docs](http://x.example/a?b=1&c=2), <s3://bucket/key>', '{http://x.example/a?b=1&c=2,s3://bucket/key}'),
  ('https://ann:secret@x.example/a', '{https://x.example/a}'), ('github.com/a/b.git', '{github.com/a/b.git}'),
  ('{"link": "https:\/\/x.example\/q"}', '{https://x.example/q}')
) t(content, refs);

-- Tools, and as of

select fixture.context('work') as work \gset
select pg_temp.say('work', 'Fix src/a.py, please: order OI5L9G');
select pg_temp.calls('work', 'open {"path": "src/a.py"}', 'open {"path": "src/b.py"}', 'lookup {"order_id": "OI5L9G"}');
select pg_temp.result('work', 'ok', 'c1'), pg_temp.result('work', 'ok', 'c2'),
pg_temp.result('work', '{"order_id": "OI5L9G", "user_id": "ann_lee_1234"}', 'c3');
select pg_temp.calls('work', 'edit {"path": "src/a.py"}'), pg_temp.result('work');
select pg_temp.calls('work', 'open {"path": "src/a.py"}'), pg_temp.result('work', '[File: src/a.py (3 lines total)]');
select pg_temp.calls('work', 'bash {"command": "rm src/a.py"}'), pg_temp.result('work');
select is(
  pg_temp.shown('work', 'tool_call'),
  '{"tool_call bash": [10, 10, 1, {"arguments": "{\"command\": \"rm src/a.py\"}"}],
    "tool_call edit": [6, 6, 1, {"arguments": "{\"path\": \"src/a.py\"}"}],
    "tool_call open": [2, 8, 3, {"arguments": "{\"path\": \"src/a.py\"}"}],
    "tool_call lookup": [2, 2, 1, {"arguments": "{\"order_id\": \"OI5L9G\"}"}]}',
  'parallel calls of a tool count each; the arguments are those of the last');
select is(
  pg_temp.shown('work', 'id'), '{"id OI5L9G": [1, 5, 3, {"key": "order_id"}], "id ann_lee_1234": [5, 5, 1, {"key": "user_id"}]}',
  'an identifier has its key, first and last version, and counts a message once');
select is(pg_temp.shown('work', 'file', s.at) -> 'file src/a.py', s.shown, format('the file as of version %s', s.at))
from (values
  (0, null::jsonb), (1, '[1, 1, 1, {"access": "mentioned"}]'), (5, '[1, 2, 2, {"access": "read"}]'),
  (7, '[1, 6, 3, {"access": "modified"}]'),
  (9, '[1, 9, 5, {"access": "modified"}]'),
  (10, '[1, 10, 6, {"access": "modified", "deleted": true}]'), (null, '[1, 10, 6, {"access": "modified", "deleted": true}]')
) s(at, shown);
select is(
  array(select a.kind || ' ' || a.ref from kata.artifacts(:'work') a),
  '{file src/a.py,file src/b.py,id OI5L9G,id ann_lee_1234,tool_call bash,tool_call open,tool_call edit,tool_call lookup}',
  'the newest of a kind come first');
select is(pg_temp.shown('work', 'no such kind'), '{}', 'an unknown kind has none');
select is((select count(*) from kata.artifacts(:'work', at => 0)), 0::bigint, 'as of version 0 there are none');
select throws_ok(format('select kata.artifacts(%L, at => %s)', :'work', v.at), 'KC002', null, 'there is no version ' || v.at)
from (values (12), (-1)) v(at);

-- Extraction changes nothing but where they are read from

create temporary table seen as
select v.at, pg_temp.shown('work', at => v.at) as shown from generate_series(0, 11) v(at);
select is(kata_data.extract_artifacts(:'work', 4), 0::bigint, 'messages are parsed up to a version');
select is((select k.parsed_through from kata_data.artifact_mark k where k.segment_id = :'work'), 4::bigint, 'the mark records how far');
select is_empty(
  'select s.at from seen s where pg_temp.shown(''work'', at => s.at) <> s.shown',
  'what is parsed and what is not add up, as of every version');
select pg_temp.extract('work');
select is(
  (select k.parsed_through from kata_data.artifact_mark k where k.segment_id = :'work'), 11::bigint, 'the mark does not go beyond the head'
);
select is_empty(
  'select s.at from seen s where pg_temp.shown(''work'', at => s.at) <> s.shown', 'after extraction the same is shown, as of every version'
);
create temporary table stored as select a::text from kata_data.artifact a union all select m::text from kata_data.artifact_mention m;
select is(pg_temp.extract('work'), 0::bigint, 'extracting again has nothing to do');
select set_eq(
  'select a::text from kata_data.artifact a union all select m::text from kata_data.artifact_mention m', 'select * from stored',
  'and changes nothing');
select is(pg_temp.extract('work'), 0::bigint, 'as often as one likes');
select is(
  (
    select count(*)
    from kata_data.artifact_mark k
    join kata_data.artifact a using (segment_id)
    where a.segment_id = :'work' and a.last_version > k.parsed_through),
  0::bigint, 'nothing lies beyond the mark');

-- Forks

select fixture.fork('work', 7, 'branch') as branch \gset
select pg_temp.say('branch', 'OI5L9G again, and src/c.py');
select pg_temp.say('work', 'sofia_kim_7287 is new');
select is(pg_temp.shown('branch', at => 7), pg_temp.shown('work', at => 7), 'a fork has the artifacts of its parent up to the fork');
select is(pg_temp.shown('branch') -> 'file src/a.py', '[1, 6, 3, {"access": "modified"}]', 'what its parent did later is not its own');
select is(pg_temp.shown('branch') -> 'id OI5L9G', '[1, 8, 4, {"key": "order_id"}]', 'inherited and own mentions add up');
select ok(
  not pg_temp.shown('work') ? 'file src/c.py' and pg_temp.shown('work') ? 'id sofia_kim_7287', 'its parent sees nothing of the fork');
select ok(not pg_temp.shown('branch') ? 'id sofia_kim_7287', 'nor the fork of what its parent says later');
create temporary table seen_branch as
select v.at, pg_temp.shown('branch', at => v.at) as shown from generate_series(0, 8) v(at);
select fixture.fork('branch', 8, 'twig') as twig \gset
select pg_temp.say('twig', 'src/d.py');
select is(pg_temp.extract('twig'), 0::bigint, 'extraction takes inherited segments, too');
select is(
  (
    select array_agg(k.parsed_through order by k.parsed_through)
    from kata_data.artifact_mark k
    where k.segment_id in (:'work', :'branch', :'twig')),
  '{8,9,11}', 'each segment has its own mark');
select is_empty(
  'select s.at from seen_branch s where pg_temp.shown(''branch'', at => s.at) <> s.shown',
  'what was parsed for a fork of it is shown the same in the fork itself');
select is(pg_temp.shown('twig', at => 8), pg_temp.shown('branch', at => 8), 'a fork of a fork has what both have');
select fixture.fork('work', 2, 'early') as early \gset
select is(kata_data.extract_artifacts(:'early', 2), 0::bigint, 'a fork below the mark has nothing to parse');
select is(pg_temp.shown('early'), (select s.shown from seen s where s.at = 2), 'a fork below the mark sees nothing above its fork');

-- A call of the parent's answered in a fork

select fixture.context('editor') as editor \gset
select pg_temp.calls('editor', 'edit {"search": "x", "replace": "y"}');
select fixture.fork('editor', 1, 'editor fork') as editor_fork \gset
select pg_temp.result('editor fork', '[File: /testbed/x.py (3 lines total)]');
select is(
  pg_temp.shown('editor fork', 'file') #> '{file /testbed/x.py,3}', '{"access": "modified"}',
  'an editor that is given no path says in its result what it edited');

-- Much of everything

select fixture.context('long') as long \gset
select count(*)
from kata.append(
  :'long',
  (
    select jsonb_agg(jsonb_build_object('role', 'user', 'content', format('note_me_%s', 1000 + i), 'token_count', 1) order by i)
    from generate_series(1, 1005) i));
select is(
  (select array[count(*), min(a.first_version)] from kata.artifacts(:'long') a), '{1000,6}',
  'of what is not parsed yet the newest 1,000 versions are');
select is((select array[count(*), min(a.first_version)] from kata.artifacts(:'long', at => 1003) a), '{1000,4}', 'as of a version as well');
select is(
  (select count(*) from kata_data.path_artifacts(:'long', 1005, 10000, kata_data.view_at(:'long', 1005), 1005)), 1005::bigint,
  'more can be asked for inside');
select is(pg_temp.extract('long'), 0::bigint, 'all are extracted');
select is((select array[count(*), min(a.first_version)] from kata.artifacts(:'long') a), '{1005,1}', 'then all are shown');
select fixture.context('wide') as wide \gset
select pg_temp.say(
  'wide', (select string_agg('order ORD' || i, ', ' order by i) from generate_series(100001, 101500) i) || ' {"x": 1} a/b.txt');
select is((select count(*) from kata.artifacts(:'wide', 'id')), 1000::bigint, 'of one message at most 1,000 artifacts of a kind are kept');
select is((select array[min(a.ref), max(a.ref)] from kata.artifacts(:'wide', 'id') a), '{ORD100001,ORD101000}', 'always the same');
select is((select count(*) from kata.artifacts(:'wide', 'file')), 1::bigint, 'of every kind');
select is(pg_temp.refs('file', '{"path": "a.py"' || repeat(' ', 100) || '}'), '{a.py}', 'JSON may have spaces');
select lives_ok(format('select pg_temp.refs(''file'', %L)', t.content), 'it can be said: ' || left(t.content, 20))
from (
  values ('{"path": "\u0000"}'), ('{"path": "\ud800"}'), ('{"path": 1e999999}'), (repeat('[', 60000) || repeat(']', 60000)),
  (repeat('{"a":', 3000) || '1' || repeat('}', 3000)), ('{"path": '), ('')) t(content);
select is(pg_temp.refs('url', 'https://x.example/' || repeat('a', 3000)), '{}', 'an address of over 2,000 bytes is left out');

-- What callers add

select kata.add_artifact(:'branch', 'ticket', 'T-1');
select is(pg_temp.shown('branch', 'ticket'), '{"ticket T-1": [8, 8, 1, null]}', 'a caller adds an artifact of any kind, to the head');
select kata.add_artifact(:'branch', 'ticket', 'T-1', '{"a": 1}'), kata.add_artifact(:'branch', 'ticket', 'T-1', '{"b": 2}'),
kata.add_artifact(:'branch', 'ticket', 'T-1');
select is(
  pg_temp.shown('branch', 'ticket'), '{"ticket T-1": [8, 8, 1, {"a": 1, "b": 2}]}',
  'again for the same version it counts once, and details are put together');
select kata.add_artifact(:'branch', 'ticket', 'T-1', '{"c": 3}', 3);
select is(pg_temp.shown('branch', 'ticket'), '{"ticket T-1": [3, 8, 2, {"a": 1, "b": 2}]}', 'the detail of the newest version is shown');
select is(
  pg_temp.shown('branch', 'ticket', 4), '{"ticket T-1": [3, 3, 1, {"c": 3}]}', 'an addition belongs to a version, an inherited one, too');
select is(pg_temp.shown('branch', 'ticket', 2), '{}', 'before it, it is not there');
select is(pg_temp.shown('work', 'ticket'), '{}', 'the parent sees nothing of it');
select is(pg_temp.shown('twig', 'ticket') -> 'ticket T-1' ->> 1, '8', 'a fork from there on does');
select kata.add_artifact(:'branch', 'file', 'src/a.py', '{"owner": "ann"}');
select is(
  pg_temp.shown('branch', 'file') -> 'file src/a.py', '[1, 8, 4, {"access": "modified", "owner": "ann"}]',
  'details of a caller override found ones; modified stays');
select kata.add_artifact(:'branch', 'file', 'src/c.py', '{"access": "modified"}'), kata.add_artifact(:'branch', 'file', 'new.bin');
select is(pg_temp.shown('branch', 'file') #> '{file src/c.py,3}', '{"access": "modified"}', 'a caller may say that a file was modified');
select is(pg_temp.shown('branch', 'file') #> '{file new.bin,3}', '{"access": "mentioned"}', 'else it is only named');
select fixture.context('blank') as blank \gset
select kata.add_artifact(:'blank', 'id', 'x');
select is(pg_temp.shown('blank'), '{"id x": [0, 0, 1, null]}', 'an empty context may have artifacts');
select throws_ok(format('select kata.add_artifact(%L, %s)', :'branch', t.arguments), t.code, null, t.description)
from (values
  ($$null, 'x'$$, 'KC017', 'an artifact has a kind'), ($$'', 'x'$$, 'KC017', 'a kind is not empty'),
  ($$repeat('k', 65), 'x'$$, 'KC017', 'a kind has at most 64 characters'), ($$'k', null$$, 'KC017', 'an artifact has a ref'),
  ($$'k', ''$$, 'KC017', 'a ref is not empty'), ($$'k', repeat('é', 1001)$$, 'KC017', 'a ref has at most 2,000 bytes'),
  ($$'k', 'x', '[]'$$, 'KC017', 'a detail is an object'), ($$'k', 'x', '1'$$, 'KC017', 'not a number'),
  ($$'k', 'x', jsonb_build_object('a', repeat('x', 65536))$$, 'KC017', 'a detail has at most 64 kB'),
  ($$'k', 'x', null, 9$$, 'KC002', 'the version must be there'), ($$'k', 'x', null, -1$$, 'KC002', 'a version is not negative')
) t(arguments, code, description);
select results_eq(
  format('select * from fixture.error(%L)', format('select kata.add_artifact(%L, %L, %L)', :'branch', '', 'x')),
  $$values (
      'KC017', 'artifact is out of range', 'Its kind has 0 characters, its ref 1 bytes, and its detail is null of 0 bytes.',
      'Pass a kind of 1 to 64 characters, a ref of 1 to 2,000 bytes, and as detail an object of at most 64 kB, '
        'no more than 100 deep and without numbers beyond 1e308, or null.')$$,
  'an artifact out of range is refused with the range');
select lives_ok(
  format($$select kata.add_artifact(%L, repeat('k', 64), repeat('r', 2000), 'null', 8)$$, :'branch'), 'the longest is not too long');
select kata.archive_context(:'blank');
select throws_ok(format($$select kata.add_artifact(%L, 'k', 'x')$$, :'blank'), 'KC006', null, 'an archived context takes no artifacts');
select lives_ok(format('select kata.artifacts(%L)', :'blank'), 'it shows those it has');
select kata.delete_context(:'blank');
select throws_ok(format('select kata.artifacts(%L)', :'blank'), 'KC006', null, 'a deleted one does not');

-- What is erased or purged

select fixture.context('secret') as secret \gset
select pg_temp.say('secret', 'OI5L9G src/a.py'), pg_temp.calls('secret', 'edit {"path": "src/a.py", "order_id": "OI5L9G"}'),
pg_temp.result('secret', 'OI5L9G ann_lee_1234'), pg_temp.say('secret', 'src/a.py');
select fixture.fork('secret', 3, 'secret fork') as secret_fork \gset
select kata.add_artifact(:'secret', 'note', 'a', version => 2), kata.add_artifact(:'secret', 'note', 'b', version => 1),
kata.add_artifact(:'secret_fork', 'note', 'c', version => 2), kata.add_artifact(:'secret_fork', 'note', 'd', version => 1);
select pg_temp.extract('secret');
select is(pg_temp.shown('secret', 'file'), '{"file src/a.py": [1, 4, 3, {"access": "modified"}]}', 'before it is forgotten');
select kata_data.forget_artifacts(:'secret', 2);
select is(
  pg_temp.shown('secret'),
  '{"file src/a.py": [1, 4, 2, {"access": "mentioned"}], "id OI5L9G": [1, 3, 2, null], "id ann_lee_1234": [3, 3, 1, null], '
    '"note b": [1, 1, 1, null]}',
  'a message that is forgotten leaves nothing behind, and the rest adds up');
select is(
  pg_temp.shown('secret fork'),
  '{"file src/a.py": [1, 1, 1, {"access": "mentioned"}], "id OI5L9G": [1, 3, 2, null], "id ann_lee_1234": [3, 3, 1, null], '
    '"note b": [1, 1, 1, null], "note d": [1, 1, 1, null]}',
  'nor in a fork');
select kata_data.forget_artifacts(:'secret', 3);
select is(pg_temp.shown('secret', 'id'), '{"id OI5L9G": [1, 1, 1, null]}', 'what only that message named is gone');
select kata_data.forget_artifacts(:'secret', 3), kata_data.forget_artifacts(:'secret', 99);
select is(pg_temp.shown('secret', 'id'), '{"id OI5L9G": [1, 1, 1, null]}', 'forgetting twice, or what never was, does nothing');
select kata_data.trim_artifacts(:'secret', 1);
select is(
  (
    select array_agg(a.ref || ' ' || a.last_version || ' ' || a.mentions order by a.ref)
    from kata_data.artifact a
    where a.segment_id = :'secret'),
  '{"OI5L9G 1 1","src/a.py 1 1"}', 'a segment that is trimmed keeps what lies below');
select is((select k.parsed_through from kata_data.artifact_mark k where k.segment_id = :'secret'), 1::bigint, 'with its mark');
select kata.add_artifact(:'secret', 'note', 'e', version => 0), kata_data.trim_artifacts(:'secret', -1);
select is_empty(
  format(
    'select a.segment_id from kata_data.artifact a where a.segment_id = %1$L union all select k.segment_id from kata_data.artifact_mark k '
      'where k.segment_id = %1$L union all select d.segment_id from kata_data.added_artifact d where d.segment_id = %1$L',
    :'secret'),
  'trimmed to nothing, nothing is left');

-- Amended words count in place of those that were said

create function pg_temp.named(context text, at bigint default null) returns text[]
language sql
as $$
  select array_agg(format('%s %s-%s %s', a.ref, a.first_version, a.last_version, a.mentions) order by a.ref collate "C")
  from kata.artifacts(fixture.id(context), null, at) a
$$;
select fixture.context('reworded') as reworded \gset
select pg_temp.say('reworded', 'Look at src/old.py and src/both.py.');
select pg_temp.calls('reworded', 'read {"path": "src/called.py"}');
select pg_temp.result('reworded', 'later');
select pg_temp.say('reworded', 'Now src/both.py.');
select kata.amend(:'reworded', 1, '{"content": "Look at src/new.py and src/both.py."}');
select is(pg_temp.named('reworded'), '{"read 2-2 1","src/both.py 4-5 2","src/called.py 2-2 1","src/new.py 5-5 1"}',
  'the words in force name what there is, under the version of the amendment');
select is(pg_temp.named('reworded', 4), '{"read 2-2 1","src/both.py 1-4 2","src/called.py 2-2 1","src/old.py 1-1 1"}',
  'as of a version before it the first words do');
select kata.amend(:'reworded', 2, '{"tool_calls": [{"id": "c1", "type": "function",
  "function": {"name": "read", "arguments": "{\"path\": \"src/other.py\"}"}}]}');
select kata.amend(:'reworded', 3, '{"content": "src/late.py:1: done"}');
select is(pg_temp.named('reworded'), '{"read 6-6 1","src/both.py 4-5 2","src/late.py 7-7 1","src/new.py 5-5 1","src/other.py 6-6 1"}',
  'so do amended arguments and a late result');
select fixture.fork('reworded', 7, 'reworded fork') as reworded_fork \gset
select kata.amend(:'reworded_fork', 1, '{"content": "Look at src/fork.py."}');
select is(pg_temp.named('reworded fork'),
  '{"read 6-6 1","src/both.py 4-4 1","src/fork.py 8-8 1","src/late.py 7-7 1","src/other.py 6-6 1"}',
  'a fork has the amendments that it inherits, except those of a message that it amends itself');
select kata_data.extract_artifacts(:'reworded_fork', 8);
select is(pg_temp.named('reworded'), '{"read 6-6 1","src/both.py 4-5 2","src/late.py 7-7 1","src/new.py 5-5 1","src/other.py 6-6 1"}',
  'parsed, the words of amendments name the same');
select is(pg_temp.named('reworded fork'),
  '{"read 6-6 1","src/both.py 4-4 1","src/fork.py 8-8 1","src/late.py 7-7 1","src/other.py 6-6 1"}', 'in a fork, too');
select is(pg_temp.named('reworded', 4), '{"read 2-2 1","src/both.py 1-4 2","src/called.py 2-2 1","src/old.py 1-1 1"}',
  'and as of a version before');
select is(array(select a.ref from kata_data.path_artifacts(
    :'reworded', 3, 1000, kata_data.view_at(:'reworded', 7), 7) a order by a.ref collate "C"),
  '{read,src/both.py,src/late.py,src/new.py,src/other.py}', 'a summary names what the covered messages say by now');
select kata.amend(:'reworded', 1, '{"content": "Look at src/newest.py."}');
select ok(
  pg_temp.named('reworded') @> '{"src/newest.py 8-8 1","src/both.py 4-4 1"}' and not 'src/new.py 5-5 1' = any (pg_temp.named('reworded')),
  'an amendment under a later one names nothing');
select kata.undo(:'reworded', 8);
select ok(pg_temp.named('reworded') @> '{"src/both.py 4-5 2","src/new.py 5-5 1"}', 'one that is undone neither');
select kata.rewind(:'reworded', 4);
select is(pg_temp.named('reworded'), '{"read 2-2 1","src/both.py 1-4 2","src/called.py 2-2 1","src/old.py 1-1 1"}',
  'nor do those that are rewound');
select kata.rewind(:'reworded', 7);
select ok('src/late.py 7-7 1' = any (pg_temp.named('reworded')), 'until the view comes back');
select is(array(select v.problem from kata.verify(:'reworded') v), '{}', 'the index with amendments adds up');
select is(fixture.damage(format($$delete from kata_data.artifact_mention m using kata_data.artifact a
    where a.artifact_id = m.artifact_id and a.segment_id = %L and m.version = 7$$, :'reworded'), 'reworded') @> '{artifact at 7}', true,
  'what an amendment named and is gone is found');
select kata.erase_message(:'reworded', 5, 'a secret');
select is_empty(format($$select a.ref from kata_data.artifact a where a.ref = 'src/new.py' and a.segment_id = %L$$, :'reworded'),
  'an erased amendment names nothing any more');
select kata_data.trim_artifacts(:'reworded_fork', 7), kata_data.extract_artifacts(:'reworded_fork', 8);
select is(pg_temp.named('reworded fork'), '{"read 6-6 1","src/both.py 4-4 1","src/fork.py 8-8 1","src/late.py 7-7 1","src/other.py 6-6 1"}',
  'what is trimmed can be parsed again');
select fixture.context('undone') as undone \gset
select pg_temp.say('undone', 'Look at src/first.py.');
select pg_temp.say('undone', 'And at src/second.py.');
select kata.amend(:'undone', 1, '{"content": "See https://undone.example/ and src/first.py."}');
select kata.undo(:'undone', 3);
select is(pg_temp.named('undone'), '{"src/first.py 1-1 1","src/second.py 2-2 1"}',
  'where no amendment is in force, one that is undone names nothing');
select kata.amend(:'undone', 2, '{"content": "And at src/third.py."}');
select is(pg_temp.named('undone'), '{"src/first.py 1-1 1","src/third.py 5-5 1"}', 'nor does it before those that are in force');
select kata_data.extract_artifacts(:'undone', 5);
select is(pg_temp.named('undone'), '{"src/first.py 1-1 1","src/third.py 5-5 1"}', 'parsed neither');

-- Damage

select is(fixture.damage(d.statement, 'work'), d.problems, d.description)
from (values
  (
    format('update kata_data.artifact_mark set parsed_through = 99 where segment_id = %L', :'work'), '{artifact mark}'::text[],
    'a mark beyond the head is found'),
  (
    format($$update kata_data.artifact set mentions = mentions + 1 where segment_id = %L and ref = 'src/b.py'$$, :'work'),
    '{artifact at 2}', 'a wrong number of mentions is found'),
  (
    format($$update kata_data.artifact set detail = '{"access": "read"}' where segment_id = %L and ref = 'src/a.py'$$, :'work'),
    '{artifact at 10}', 'a wrong detail is found'),
  (
    format(
      $$delete from kata_data.artifact_mention m using kata_data.artifact a
        where a.artifact_id = m.artifact_id and a.segment_id = %L and a.ref = 'src/a.py' and m.version = 6$$,
      :'work'),
    '{artifact at 10}', 'a mention that is gone is found'),
  (
    format(
      $$update kata_data.artifact_mention m set mentions_through = 7
        from kata_data.artifact a
        where a.artifact_id = m.artifact_id and a.segment_id = %L and a.ref = 'src/a.py' and m.version = 6$$,
      :'work'),
    '{artifact at 10}', 'a wrong running total is found'),
  (
    format('update kata_data.artifact_mark set parsed_through = 9 where segment_id = %L', :'work'), '{artifact at 10}',
    'a mention above the mark is found'),
  (
    format($$insert into kata_data.added_artifact values (%L, 'note', 'x', 99)$$, :'work'), '{artifact at 99}',
    'an addition to a version that there is not is found')
) d(statement, problems, description);
select is(fixture.damage(d.statement), d.problems, d.description)
from (values
  (
    $$insert into kata_data.artifact_mark values ('00000000-0000-7000-8000-000000000000', 1)$$, '{orphan row}'::text[],
    'a mark of no context is found'),
  (
    $$insert into kata_data.artifact (
        segment_id, kind, ref, first_version, last_version, mentions) values ('00000000-0000-7000-8000-000000000000', 'id', 'x', 1, 1, 1)$$,
    '{orphan row}', 'an artifact of no context is found'),
  (
    $$insert into kata_data.added_artifact values ('00000000-0000-7000-8000-000000000000', 'id', 'x', 1)$$, '{orphan row}',
    'an addition of no context is found'),
  ($$insert into kata_data.artifact_mention values (0, 1, 1, 1)$$, '{orphan row at 1}', 'a mention of no artifact is found')
) d(statement, problems, description);

select * from finish();
rollback;
