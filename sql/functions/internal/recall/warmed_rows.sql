-- The rows that a first call reads, whole, so that the pages of long values are in memory, too.

create or replace function kata_data.warmed_rows(context_id uuid) returns table (relation text, bytes bigint)
language sql stable rows 5
as $$
  with head as materialized (
    select h.version, pg_column_size(h) as bytes
    from kata_data.head h
    where h.context_id = warmed_rows.context_id
  ),
  segment as materialized (
    select s.segment_id, s.first_version, s.last_version
    from head h
    cross join lateral kata_data.segments(warmed_rows.context_id, 1, h.version) s
  )
  select 'head', h.bytes
  from head h
  union all
  select 'context', c.bytes
  from (select pg_column_size(c) as bytes from kata_data.context c where c.context_id = warmed_rows.context_id offset 0) c
  union all
  select 'search_mark', k.bytes
  from segment s
  cross join lateral (select pg_column_size(k) as bytes from kata_data.search_mark k where k.segment_id = s.segment_id offset 0) k
  union all
  select 'erasure', e.bytes
  from segment s
  cross join lateral (select pg_column_size(e) as bytes from kata_data.erasure e where e.segment_id = s.segment_id offset 0) e
  union all
  select 'message', pg_column_size(m)
  from head h
  cross join lateral kata_data.path_messages(warmed_rows.context_id, int8multirange(int8range(greatest(h.version - 999, 1), h.version + 1))) m
  union all
  select 'view_change', pg_column_size(c)
  from head h
  cross join lateral kata_data.change_at(warmed_rows.context_id, h.version) c
  union all
  select 'posting', p.bytes
  from segment s
  cross join lateral (
    select pg_column_size(p) as bytes
    from kata_data.posting p
    where p.segment_id = s.segment_id
      and p.first_version <= s.last_version
    offset 0
  ) p
  union all
  select 'embedding', e.bytes
  from segment s
  cross join lateral (
    select pg_column_size(e) as bytes
    from kata_data.embedding e
    where e.segment_id = s.segment_id
      and e.version between s.first_version and s.last_version
    offset 0
  ) e
$$;
comment on function kata_data.warmed_rows(uuid) is 'The rows that the first calls on a context need, each with its bytes.';
