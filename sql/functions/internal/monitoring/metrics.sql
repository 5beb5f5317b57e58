-- Metrics: what a monitoring system reads, in one view, as numbers without contents, names or tenants.
--
-- The view sums over all tenants, so only administrators, services and members of pg_monitor may read it. Its cost is bounded: it counts
-- by partial indexes up to 10,000 rows, takes the number of rows of a table from its statistics, and examines a sample of heads, which is
-- all of them below about 10,000 contexts.

create or replace view kata.metrics (name, labels, value) as
with sample as materialized (
  select h.context_id, h.version, h.open_calls <> '{}' as is_open, z.share
  from (
    select least(1, 500.0 / greatest(pg_relation_size('kata_data.head') / current_setting('block_size')::integer, 1))::double precision as share
  ) z
  cross join lateral (
    select s.context_id, s.version, s.open_calls
    from kata_data.head s tablesample system (100 * z.share)
  ) h
)
select 'kata_due_contexts', jsonb_build_object('model', k.model), (
  select count(*)
  from (select from kata_data.head h where h.summarizes = k.model and h.due_at <= now() limit 10000) h)::double precision
from (values (false), (true)) k(model)
union all
select 'kata_oldest_due_seconds', '{}', coalesce(extract(epoch from now() - min(h.due_at)), 0)
from (values (false), (true)) k(model)
cross join lateral (
  select h.due_at from kata_data.head h where h.summarizes = k.model and h.due_at <= now() order by h.due_at limit 1) h
union all
select 'kata_leases', jsonb_build_object('expired', k.expired), (
  select count(*)
  from (select from kata_data.compaction c where c.status = 'running' and (c.lease_expires_at <= now()) = k.expired limit 10000) c)
from (values (false), (true)) k(expired)
union all
select 'kata_failing_contexts', '{}', (select count(*) from (select from kata_data.compaction_guard g where g.failures > 0 limit 10000) g)
union all
select 'kata_contexts', '{}', greatest(r.reltuples, 0) from pg_class r where r.oid = 'kata_data.head'::regclass
union all
select 'kata_contexts_with_open_calls', '{}', coalesce(sum(1 / s.share), 0) from sample s where s.is_open
union all
select 'kata_search_lag_entries', '{}', coalesce(sum(l.entries / s.share), 0)
from sample s
cross join lateral (
  select s.version - greatest(m.indexed_through, l.first_version - 1) as entries
  from kata_data.lineage l
  left join kata_data.search_mark m on m.segment_id = l.segment_id
  where l.context_id = s.context_id
    and l.segment_id = s.context_id
) l
where l.entries >= 64
union all
select 'kata_embedding_lag_entries', '{}', coalesce(sum((s.version - m.complete_through) / s.share), 0)
from sample s
join kata_data.embedding_mark m on m.segment_id = s.context_id
where m.complete_through < s.version
union all
select 'kata_idempotency_keys', '{}', greatest(r.reltuples, 0) from pg_class r where r.oid = 'kata_data.idempotency'::regclass
union all
select 'kata_idempotency_oldest_seconds', '{}', coalesce(extract(epoch from now() - min(i.created_at)), 0) from kata_data.idempotency i
union all
select 'kata_table_bytes', jsonb_build_object('table', r.relname), pg_total_relation_size(r.oid)
from pg_class r
where r.relnamespace = 'kata_data'::regnamespace
  and r.relkind = 'r';
comment on view kata.metrics is
'Metrics for a monitoring system, over all tenants: one row per metric and set of labels.

kata_due_contexts (model: whether they need a model) and kata_oldest_due_seconds: the queue of compactions. kata_leases (expired):
compactions that run. kata_failing_contexts: those whose last attempt failed or gained nothing. kata_contexts and
kata_idempotency_keys: rows by the statistics of the table. kata_contexts_with_open_calls, kata_search_lag_entries and
kata_embedding_lag_entries: estimates from a sample, exact below about 10,000 contexts. kata_idempotency_oldest_seconds.
kata_table_bytes (table): with indexes and TOAST. Counts end at 10,000.';
comment on column kata.metrics.name is 'The name of the metric.';
comment on column kata.metrics.labels is 'An object of labels.';
comment on column kata.metrics.value is 'The value.';

grant select on kata.metrics to pg_monitor, kata_admin, kata_service;
