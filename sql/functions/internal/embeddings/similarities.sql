-- How near messages are to an embedding: the cosine. The one statement is built here, because the type and its operators belong to an
-- extension that may be missing, in a schema that the database's owner chose. Without it, the sum is taken over arrays.

create or replace function kata_data.vector_schema() returns text
language plpgsql stable
as $$
begin
  return (
    select n.nspname
    from pg_attribute a
    join pg_type t on t.oid = a.atttypid
    join pg_namespace n on n.oid = t.typnamespace
    where a.attrelid = 'kata_data.embedding'::regclass
      and a.attname = 'embedding'
      and t.typname = 'halfvec');
end
$$;
comment on function kata_data.vector_schema() is 'The schema of the extension vector; null where embeddings are arrays.';

create or replace function kata_data.similarities(
  context_id uuid, model_id integer, embedding real[], versions int8multirange, max_rows integer default null
)
returns table (version bigint, similarity double precision)
language plpgsql stable rows 200
as $$
declare
  v_schema text;
begin
  v_schema := kata_data.vector_schema();
  return query execute format(
    'select e.version, e.similarity
     from unnest($1) r(range)
     cross join lateral (
       select s.segment_id, s.first_version, s.last_version
       from kata_data.segments($2, lower(r.range), upper(r.range) - 1) s
       offset 0
     ) s
     cross join lateral (
       select e.version, %s as similarity
       from kata_data.embedding e
       where e.segment_id = s.segment_id
         and e.model_id = $3
         and e.version between s.first_version and s.last_version
       offset 0
     ) e
     order by 2 desc, 1 desc
     limit $5',
    case
      when v_schema is null then '(select sum(x.a::float8 * x.b) from unnest(e.embedding, $4) x(a, b))'
      else format('1 - (e.embedding operator(%1$I.<=>) $4::%1$I.halfvec)', v_schema)
    end)
  using versions, context_id, model_id, kata_data.normalized(embedding), max_rows;
end
$$;
comment on function kata_data.similarities(uuid, integer, real[], int8multirange, integer) is
'The cosine of an embedding with those of messages of a path at some versions, the nearest first.

max_rows: null for all that have an embedding of the model.
Cost: O(versions).';
