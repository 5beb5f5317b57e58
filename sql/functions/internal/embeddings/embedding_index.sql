-- An HNSW index on the embeddings of a model, for paths of more than 20,000 versions. It is never needed: kata.recall looks at every embedding
-- of a path where the index has too few. Names, dimensions and the model are parts of its definition, so its statements are built here.

create or replace function kata_data.embedding_index_name(model_id integer) returns text
language sql immutable
as $$
  select 'embedding_hnsw_' || model_id
$$;
comment on function kata_data.embedding_index_name(integer) is 'The name of the index on the embeddings of a model.';

create or replace function kata_data.embedding_index_state(model_id integer) returns text
language plpgsql stable
as $$
begin
  return (
    select case when i.indisvalid then 'valid' else 'invalid' end
    from pg_class c
    join pg_index i on i.indexrelid = c.oid
    where c.relnamespace = 'kata_data'::regnamespace
      and c.relname = kata_data.embedding_index_name(model_id));
end
$$;
comment on function kata_data.embedding_index_state(integer) is
'valid, or invalid (being built, or left by a build that was interrupted); null without an index on the embeddings of a model.';

create or replace function kata_data.has_iterative_scans() returns boolean
language plpgsql stable
as $$
begin
  return exists (
    select
    from pg_extension e
    where e.extname = 'vector'
      and string_to_array(substring(e.extversion from '^[0-9]+[.][0-9]+'), '.')::integer[] >= '{0,8}');
end
$$;
comment on function kata_data.has_iterative_scans() is
'Whether the extension vector is 0.8 or newer. An index of an older one stops after some rows, of whatever context they are.';

create or replace function kata_data.near_by_index(
  context_id uuid, model_id integer, embedding real[], versions int8multirange, max_rows integer
)
returns table (version bigint, similarity double precision)
language plpgsql stable rows 200
as $$
declare
  v_segments uuid[];
  v_lows bigint[];
  v_highs bigint[];
  -- Null until the library of the extension is loaded, unless it was set before.
  v_scan text := coalesce(current_setting('hnsw.iterative_scan', true), 'off');
begin
  if kata_data.embedding_index_state(model_id) is distinct from 'valid' or not kata_data.has_iterative_scans() then
    return;
  end if;
  select array_agg(s.segment_id), array_agg(s.first_version), array_agg(s.last_version) into v_segments, v_lows, v_highs
  from kata_data.segments(near_by_index.context_id, lower(versions), upper(versions) - 1) s;
  -- Else the index stops after forty rows, of whatever context they are.
  perform set_config('hnsw.iterative_scan', 'strict_order', true);
  -- OFFSET keeps the condition a filter of the index scan: as a join it would read and sort the path.
  return query execute format(
    'select e.version, 1 - (e.embedding::%1$I.halfvec(%2$s) operator(%1$I.<=>) $4::%1$I.halfvec(%2$s))
     from kata_data.embedding e
     where e.model_id = %3$s
       and $6 @> e.version
       and exists (
         select from unnest($1, $2, $3) s(segment_id, low, high)
         where s.segment_id = e.segment_id
           and e.version between s.low and s.high
         offset 0)
     order by e.embedding::%1$I.halfvec(%2$s) operator(%1$I.<=>) $4::%1$I.halfvec(%2$s)
     limit $5', kata_data.vector_schema(), cardinality(embedding), model_id)
  using v_segments, v_lows, v_highs, kata_data.normalized(embedding), max_rows, versions;
  perform set_config('hnsw.iterative_scan', v_scan, true);
end
$$;
comment on function kata_data.near_by_index(uuid, integer, real[], int8multirange, integer) is
'The messages among some versions of a path that are nearest to an embedding, as the index finds them; none without one.

It may find fewer than there are: the caller looks how many.';

create or replace function kata_data.prepare_embedding_index(index text) returns void
language plpgsql volatile
as $$
begin
  -- Statistics on the expression would keep embeddings of erased texts; those of the keys help the planner.
  execute format('alter index %s alter column 1 set statistics 0', index);
  execute 'analyze kata_data.embedding (segment_id, model_id, version)';
end
$$;
comment on function kata_data.prepare_embedding_index(text) is 'Gives the planner what it needs to use a new index.';

create or replace function kata_data.refuse_busy_index(model_id integer) returns void
language plpgsql volatile
as $$
declare
  v_pids integer[] := array(
    select distinct l.pid
    from pg_catalog.pg_locks l
    where l.database = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
      and l.relation = 'kata_data.embedding'::regclass
      and l.granted
      and l.pid <> pg_backend_pid());
begin
  raise exception using
    errcode = 'KC025',
    message = 'another session uses the embeddings',
    detail = format('It is %s. The wait was %s.',
      coalesce(kata_data.named_sessions(v_pids), 'one that has ended since'), kata_data.waited()),
    hint = format('Try again when its transaction has ended, set lock_timeout to wait longer, or work concurrently as an owner of the tables: '
      '`kata index --vectors MODEL`, or drop index concurrently kata_data.%s.', kata_data.embedding_index_name(model_id));
end
$$;
comment on function kata_data.refuse_busy_index(integer) is
'Refuses a change of the index on embeddings that waited too long, and names the sessions that use the table. KC025.';

create or replace function kata_data.embedding_index_bytes(embeddings bigint, dimensions integer, m integer) returns bigint
language sql immutable
as $$
  -- An m that is out of range is refused later.
  select embeddings * (2 * dimensions + 8 + 44 * least(greatest(m, 2), 100))
$$;
comment on function kata_data.embedding_index_bytes(bigint, integer, integer) is
'The memory that building the index takes. Measured: with 64 MB, 384 dimensions and m = 16 it was full after 45,247 embeddings.';

create or replace function kata_data.embedding_index_statement(model kata_data.embedding_model, m integer, ef_construction integer) returns text
language plpgsql stable
as $$
begin
  return format(
    'create index %1$I on kata_data.embedding using hnsw ((embedding::%2$I.halfvec(%3$s)) %2$I.halfvec_cosine_ops) '
    'with (m = %4$s, ef_construction = %5$s) where model_id = %6$s',
    kata_data.embedding_index_name(model.model_id), kata_data.vector_schema(), model.dimensions, m, ef_construction, model.model_id);
end
$$;
comment on function kata_data.embedding_index_statement(kata_data.embedding_model, integer, integer) is
'The statement that builds the index on the embeddings of a model.';

create or replace function kata_data.check_embedding_index(
  model kata_data.embedding_model, method text, m integer, ef_construction integer, bytes bigint
) returns void
language plpgsql stable
as $$
declare
  v_memory bigint := pg_size_bytes(current_setting('maintenance_work_mem'));
  v_detail text;
  v_hint text;
begin
  if method is distinct from 'hnsw' then
    v_detail := format('The method is "%s".', coalesce(left(method, 100), 'null'));
    v_hint := 'Use hnsw: ivfflat chooses its lists from the rows that are there when it is built, and finds few of those that come later.';
  elsif kata_data.vector_schema() is null then
    v_detail := 'The embeddings are arrays: the extension vector 0.7 or newer is missing.';
    v_hint := 'Install it on the server and run `kata migrate up`; kata.recall needs no index.';
  elsif not kata_data.has_iterative_scans() then
    v_detail := 'The extension vector is older than 0.8: its indexes find too few rows of one context among those of others.';
    v_hint := 'Install a newer one on the server and run `alter extension vector update`; kata.recall needs no index.';
  elsif model.dimensions > 4000 then
    v_detail := format('The model has %s dimensions; an index holds at most 4000.', model.dimensions);
    v_hint := 'Use no index: kata.recall looks at every embedding of a path.';
  elsif m not between 2 and 100 or ef_construction not between 2 * m and 1000 or m is null or ef_construction is null then
    v_detail := format('m is %s and ef_construction is %s.', coalesce(m::text, 'null'), coalesce(ef_construction::text, 'null'));
    v_hint := 'Pass m from 2 to 100, and ef_construction from 2 m to 1000.';
  elsif bytes > 0.9 * v_memory then
    v_detail := format('Its graph takes %s, and maintenance_work_mem is %s.', pg_size_pretty(bytes), pg_size_pretty(v_memory));
    v_hint := format('Set maintenance_work_mem to %s MB for this session, or pass a smaller m.', ceil(bytes / 0.9 / 1048576));
  else
    return;
  end if;
  raise exception using
    errcode = 'KC017',
    message = format('the index on model "%s" cannot be built', left(model.name, 100)),
    detail = v_detail,
    hint = v_hint;
end
$$;
comment on function kata_data.check_embedding_index(kata_data.embedding_model, text, integer, integer, bigint) is
'Refuses an index that would have no recall, or whose graph does not fit into memory. KC017.';

create or replace function kata_data.embedding_index_recall(model kata_data.embedding_model) returns double precision
language plpgsql volatile
as $$
declare
  v_share double precision;
begin
  -- Twenty embeddings as queries: how many of ten that the index finds are as near as the ten of a scan. + 0 keeps the index from the scan.
  perform set_config('enable_seqscan', 'off', true);
  execute format(
    'select avg((
       select count(*)
       from (select e.embedding::%1$I.halfvec(%2$s) operator(%1$I.<=>) q.embedding::%1$I.halfvec(%2$s) as distance
             from kata_data.embedding e where e.model_id = %3$s order by 1 limit 10) i
       where i.distance <= q.tenth + 0.000001) / q.wanted::float8)
     from (
       select q.embedding, max(x.distance) as tenth, count(*) as wanted
       from (select e.segment_id, e.version, e.embedding from %4$s
             order by hashtextextended(e.segment_id::text || e.version, 0) limit 20) q
       cross join lateral (select (e.embedding operator(%1$I.<=>) q.embedding) + 0 as distance from %4$s order by 1 limit 10) x
       group by q.segment_id, q.version, q.embedding
     ) q',
    kata_data.vector_schema(), model.dimensions, model.model_id,
    -- Its embeddings, by segment: not those of all models.
    format(
      '(select k.segment_id from kata_data.embedding_mark k where k.model_id = %s offset 0) k cross join lateral '
      '(select e.segment_id, e.version, e.embedding from kata_data.embedding e where e.segment_id = k.segment_id and e.model_id = %1$s offset 0) e', model.model_id))
  into v_share;
  return v_share;
end
$$;
comment on function kata_data.embedding_index_recall(kata_data.embedding_model) is
'The share of the ten nearest embeddings that the index finds, of twenty queries. Cost: O(embeddings of the model).';
