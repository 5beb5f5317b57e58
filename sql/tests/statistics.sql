-- Statistics of the planner keep nothing that an erasure or a purge removes.

begin;
select plan(2);

-- Statistics keep values of rows that are gone, also after VACUUM: columns of what users wrote, and of its digests and salts, have none.
-- A column is listed here if its values say nothing about that.

create temporary table harmless (relation text, names text[]);
insert into harmless values
('act', '{acted_by,kind}'),
('amendment', '{token_source}'),
('bucket_range', '{buckets}'),
('compaction', '{status}'),
('context', '{tenant,tokenizer}'),
('contract', '{aspect,object,place,statement,undo}'),
('embedding_model', '{name,tenant}'),
('environment', '{label,set_by}'),
('erasure', '{erased_by,what}'),
('function_file', '{checksum,definition_checksum,functions,path}'),
('head', '{tenant,tokenizer}'),
('idempotency', '{function_name,scope}'),
('message', '{role,token_source}'),
('migration', '{applied_by,down_checksum,name,reason,status,up_checksum}'),
('name_claim', '{tenant}'),
('purge', '{purged_by}'),
('request_profile', '{cache,format,renderer,system,tenant,thinking,tokenizer}'),
('search_mark', '{analyzer}'),
('summary', '{role,token_source}'),
('tenant_role', '{role,role_name,tenant}'),
('token_count', '{tokenizer}'),
('tokenizer', '{name}'),
('tool_list', '{tenant}'),
('view_change', '{kind}');

-- Versions and other numbers, times, flags and ids of contexts say nothing; every other type must be listed or without statistics.
create temporary table sampled as
select c.relname::text as relation, a.attname::text as name
from pg_attribute a
join pg_class c on c.oid = a.attrelid
where c.relnamespace = 'kata_data'::regnamespace
  and c.relkind in ('r', 'p', 'm')
  and a.attnum > 0
  and not a.attisdropped
  and a.attstattarget is distinct from 0
  and a.atttypid <> all (array[
    'uuid', 'bigint', 'integer', 'boolean', 'timestamptz', 'double precision', 'numeric', 'real',
    'bigint[]', 'int8range', 'int8multirange', 'int8multirange[]']::regtype[]);

select is(
  array(
    select s.relation || '.' || s.name
    from sampled s
    where not exists (select from harmless h where h.relation = s.relation and s.name = any (h.names))
    order by 1),
  '{}', 'no column of what users wrote has statistics');
select is(
  array(
    select h.relation || '.' || n.name
    from harmless h
    cross join unnest(h.names) n(name)
    where not exists (select from sampled s where s.relation = h.relation and s.name = n.name)
    order by 1),
  '{}', 'and every exception is a column that has some');

select * from finish();
rollback;
