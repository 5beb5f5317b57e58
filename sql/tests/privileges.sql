-- Readers read, writers write, administrators administer, and no role has a privilege on a table.

begin;
select plan(575);

create temporary table client (role text);
insert into client values ('kata_reader'), ('kata_writer'), ('kata_admin'), ('kata_service');

-- Which function is for whom: r, w, a, s for kata_reader, kata_writer, kata_admin, kata_service.
create temporary table expected (function text, roles text);
insert into expected values
  ('abort_compaction', '-was'), ('acts', 'rwas'), ('check_heads', 'rwas'), ('heads', 'rwas'),
  ('add_artifact', '-was'), ('amend', '-was'), ('ancestry', 'rwas'), ('append', '-was'), ('append_message', '-was'),
  ('append_record', '-was'), ('archive_context', '-was'), ('records', 'rwas'),
  ('archive_inactive', '-was'), ('artifacts', 'rwas'), ('assign_tenant', '--a-'), ('begin_compaction', '-was'),
  ('build_embedding_index', '--a-'),
  ('drop_embedding_index', '--a-'), ('embedding_models', 'rwas'), ('pending_embeddings', '-was'), ('prewarm', 'rwas'),
  ('put_embeddings', '-was'), ('checkpoint', '-was'),
  ('checkpoints', 'rwas'), ('claim_due_compaction', '-was'), ('close_calls', '-was'), ('commit_compaction', '-was'),
  ('common_ancestor', 'rwas'),
  ('compact', '-was'), ('compaction_artifacts', '-was'), ('complete_request', '-was'),
  ('compaction_source', '-was'), ('compaction_status', 'rwas'),
  ('compactions', 'rwas'),
  ('create_context', '-was'), ('current_tenant', 'rwas'), ('delete_context', '-was'), ('delete_messages', '-was'), ('diff', 'rwas'),
  ('diff_requests', 'rwas'),
  ('diff_versions', 'rwas'),
  ('drop_checkpoint', '-was'), ('elide', '-was'), ('entry_digests', 'rwas'), ('environment', 'rwas'),
  ('erase_message', '--as'), ('erasures', 'rwas'),
  ('export_family', '--a-'), ('import_family', '--a-'),
  ('explain_window', 'rwas'), ('failing_compactions', 'rwas'), ('find_context', 'rwas'), ('find_message', 'rwas'),
  ('fork', '-was'), ('forks', 'rwas'), ('get_context', 'rwas'), ('get_message', 'rwas'), ('get_or_create_context', '-was'),
  ('get_policy', 'rwas'), ('get_tools', 'rwas'), ('set_tools', '-was'), ('history', 'rwas'),
  ('index_search', '-was'),
  ('key_result', 'rwas'),
  ('list_contexts', 'rwas'), ('merge', '-was'), ('messages', 'rwas'),
  ('pending_search', '-was'), ('pin', '-was'), ('policy_presets', 'rwas'), ('prompt', 'rwas'),
  ('purge_context', '--as'), ('purge_deleted', '--as'), ('purges', 'rwas'), ('put_token_counts', '-was'),
  ('recall', 'rwas'), ('register_tokenizer', '--a-'),
  ('renew_compaction', '-was'), ('replay', 'rwas'), ('request', '-was'), ('request_rows', 'rwas'), ('requests', 'rwas'),
  ('resolve_context', 'rwas'), ('resolve_version', 'rwas'), ('restore_context', '-was'), ('rewind', '-was'),
  ('search', 'rwas'), ('set_environment', '--a-'),
  ('set_policy', '-was'), ('state_at', 'rwas'), ('stats', 'rwas'), ('tokenizers', 'rwas'), ('tree', 'rwas'), ('unarchive_context', '-was'),
  ('undo', '-was'),
  ('unpin', '-was'), ('update_context', '-was'), ('usage', 'rwas'), ('verify', 'rwas'), ('version', 'rwas'), ('window', 'rwas');

select set_eq(
  $$select p.proname::text from pg_proc p where p.pronamespace = 'kata'::regnamespace$$, 'select function from expected',
  'it is said for every public function who may call it');
select is(
  has_function_privilege(c.role, p.oid, 'execute'), position(substr(c.role, 6, 1) in e.roles) > 0,
  format('%s %s call %s', c.role, case when position(substr(c.role, 6, 1) in e.roles) > 0 then 'may' else 'may not' end, e.function))
from expected e
left join pg_proc p on p.pronamespace = 'kata'::regnamespace and p.proname = e.function
cross join client c
order by e.function, c.role;
select ok(not has_function_privilege('public', p.oid, 'execute'), 'PUBLIC may not call ' || p.proname)
from pg_proc p where p.pronamespace = 'kata'::regnamespace order by p.proname;

-- Nothing but functions

select ok(
  has_schema_privilege(c.role, 'kata', 'usage') and not has_schema_privilege(c.role, 'kata', 'create'),
  c.role || ' uses the public schema and makes nothing in it')
from client c;
select ok(not has_schema_privilege('public', 'kata', 'usage'), 'a stranger does not even use the public schema');
select ok(
  not has_schema_privilege(c.role, 'kata_data', 'usage') and not has_schema_privilege(c.role, 'kata_data', 'create'),
  c.role || ' has no way into the data schema')
from (select role from client union select 'public') c(role);
select is_empty(
  format(
    $$select r.relname, p.privilege
      from pg_class r
      cross
      join unnest('{select,insert,update,delete,truncate,references,trigger}'::text[]) p(privilege)
    where r.relnamespace = 'kata_data'::regnamespace
      and r.relkind in ('r', 'p', 'v', 'm') and has_table_privilege(%L, r.oid, p.privilege)$$, c.role),
  c.role || ' has no privilege on any table or view')
from (select role from client union select 'public') c(role);
select is_empty(
  format($$select r.relname, a.attname from pg_class r join pg_attribute a on a.attrelid = r.oid
    where r.relnamespace = 'kata_data'::regnamespace and r.relkind in ('r', 'p', 'v', 'm') and a.attnum > 0 and not a.attisdropped
      and has_column_privilege(%L, r.oid, a.attnum, 'select,insert,update,references')$$, c.role),
  c.role || ' has no privilege on any column')
from (select role from client union select 'public') c(role);
select is_empty(
  format(
    $$select p.proname from pg_proc p where p.pronamespace = 'kata_data'::regnamespace and has_function_privilege(%L, p.oid, 'execute')$$,
    c.role),
  c.role || ' may call no internal function')
from (select role from client union select 'public') c(role);
select is_empty(
  format($$select r.relname from pg_class r where r.relnamespace in ('kata'::regnamespace, 'kata_data'::regnamespace)
      and case r.relkind when 'S' then has_sequence_privilege(%L, r.oid, 'usage,select,update') end$$, c.role),
  c.role || ' has no privilege on any sequence')
from (select role from client union select 'public') c(role);

-- Functions are the owner's

select is_empty(
  $$select p.proname from pg_proc p where p.pronamespace = 'kata'::regnamespace and not p.prosecdef$$,
  'public functions run as their owner');
select is_empty(
  $$select p.proname, p.proowner::regrole from pg_proc p
    where p.pronamespace = 'kata'::regnamespace
      and p.proowner <> (case when p.proname in ('purge_context', 'erase_message') then 'kata_eraser' else 'kata_owner' end)::regrole$$,
  'the owner is kata_owner, or of what erases kata_eraser');
select is_empty(
  $$select p.proname
    from pg_proc p
    where p.pronamespace = 'kata'::regnamespace and not coalesce('search_path=pg_catalog, pg_temp' = any (p.proconfig), false)$$,
  'their search path is pinned, what a client has made temporarily comes last');
select is_empty(
  $$select p.proname
    from pg_proc p
    where p.pronamespace = 'kata_data'::regnamespace
      and p.prosecdef
      -- It fires at the commit, when no function of ours is on the stack.
      and p.proname <> 'refuse_open_import'$$,
  'internal functions run as who calls them');
select is_empty(
  $$select p.proname from pg_proc p where p.pronamespace = 'kata_data'::regnamespace and p.proowner <> 'kata_owner'::regrole$$,
  'and belong to kata_owner');
select is_empty(
  $$select c.relname
    from pg_class c
    where c.relnamespace in ('kata'::regnamespace, 'kata_data'::regnamespace)
      and c.relowner <> 'kata_owner'::regrole and c.relname not in ('migration', 'function_file')$$,
  'the tables, too');

-- Roles

select is(
  array(
    select r.rolname::text
    from pg_roles r
    where r.rolname ~ '^kata_' and (r.rolcanlogin or r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolcreatedb or r.rolreplication)),
  '{}',
  'no role of the store can log in or is more than a role');
select set_eq(
  $$select r.rolname::text from pg_roles r where r.rolname ~ '^kata_'$$,
  array['kata_owner', 'kata_eraser', 'kata_reader', 'kata_writer', 'kata_admin', 'kata_service', 'kata_proxy'], 'there are seven');
select is(
  pg_has_role(m.role, m.of, 'member'), m.is_member, format('%s is %s %s', m.role, case when m.is_member then 'a' else 'no' end, m.of))
from (values
  ('kata_writer', 'kata_reader', true), ('kata_admin', 'kata_writer', true), ('kata_admin', 'kata_reader', true),
  ('kata_service', 'kata_writer', true), ('kata_service', 'kata_reader', true),
  ('kata_reader', 'kata_writer', false), ('kata_writer', 'kata_admin', false), ('kata_writer', 'kata_service', false),
  ('kata_service', 'kata_admin', false), ('kata_admin', 'kata_service', false)
) m(role, of, is_member);
select ok(not pg_has_role(c.role, o.role, 'member'), format('%s cannot become %s', c.role, o.role))
from client c cross join (values ('kata_owner'), ('kata_eraser')) o(role);
select ok(not pg_has_role('kata_owner', 'kata_eraser', 'member'), 'the owner is not the eraser');
select is(
  array(select g.role::text from unnest(array['kata_owner', 'kata_eraser']) g(role) where has_schema_privilege(g.role, 'public', 'create')),
  '{}', 'neither owner makes anything in the schema public');

-- As it is felt

select throws_ok(format('select fixture.as_role(%L, %L)', w.role, w.query), '42501', null, w.description)
from (values
  ('kata_reader', 'select kata.create_context()', 'a reader creates no context'),
  ('kata_reader', $$select kata.append_message(null, 'user', 'x')$$, 'a reader appends nothing'),
  ('kata_writer', $$select kata.assign_tenant('kata_reader', 'x')$$, 'a writer assigns no tenants'),
  ('kata_service', $$select kata.register_tokenizer('x', 4)$$, 'a service registers no tokenizers'),
  ('kata_admin', 'select count(*) from kata_data.message', 'an administrator reads no table'),
  ('kata_admin', 'delete from kata_data.context returning 1', 'an administrator deletes no rows'),
  ('kata_admin', 'select kata_data.current_tenant()', 'an administrator calls no internal function'),
  ('kata_admin', 'select 1 from kata_data.context_row', 'an administrator reads no internal view'),
  ('kata_eraser', 'select kata.get_context(null)', 'the eraser calls nothing')
) w(role, query, description);
select is(fixture.as_role('kata_reader', 'select kata.version() is not null'), 'true', 'a reader asks for the version');
create role test_stranger;
select throws_ok($$select fixture.as_role('test_stranger', 'select kata.version()')$$, '42501', null, 'a stranger does not');

select * from finish();
rollback;
