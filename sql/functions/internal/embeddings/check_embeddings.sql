-- An embedding is a list of numbers with a direction. Its length says nothing, so it is stored with length 1.

create or replace function kata_data.embedding_norm(embedding real[]) returns double precision
language sql immutable
as $$
  -- Null where an element is: a sum would leave it out.
  select case when count(*) = count(e.element) then sqrt(sum(e.element::float8 * e.element)) end
  from unnest(embedding) e(element)
$$;
comment on function kata_data.embedding_norm(real[]) is 'The length of a vector; null for none, NaN or infinite where an element is.';

create or replace function kata_data.normalized(embedding real[]) returns real[]
language sql immutable
as $$
  -- Numbers too small for a real become zero: the cast would refuse them.
  select array(
    select case when abs(e.element / n.norm) < 1e-37 then 0 else (e.element / n.norm)::real end
    from unnest(embedding) with ordinality e(element, ordinality)
    order by e.ordinality)
  from (select kata_data.embedding_norm(embedding) as norm offset 0) n
$$;
comment on function kata_data.normalized(real[]) is 'A vector of the same direction with length 1.';

create or replace function kata_data.check_embedding(embedding real[], what text) returns void
language plpgsql immutable
as $$
declare
  v_norm double precision := kata_data.embedding_norm(embedding);
begin
  -- NaN is greater than infinity.
  if v_norm > 0 and v_norm < 'infinity' and cardinality(embedding) <= 16000 then
    return;
  end if;
  raise exception using
    errcode = 'KC017',
    message = format('%s is not an embedding', what),
    detail = case
      when v_norm = 0 then 'It is zero, and has no direction.'
      when cardinality(embedding) > 16000 then format('It has %s dimensions.', cardinality(embedding))
      when v_norm is not null then 'It holds a NaN or an infinite number.'
      else 'It is null or empty, or holds a null.'
    end,
    hint = 'Pass 1 to 16000 finite numbers that are not all zero.';
end
$$;
comment on function kata_data.check_embedding(real[], text) is 'Refuses numbers without a direction, and too many. KC017.';

create or replace function kata_data.check_embeddings(versions bigint[], embeddings real[], digests text[]) returns void
language plpgsql immutable
as $$
declare
  v_place integer := array_lower(versions, 1);
  v_embedding real[];
begin
  if array_ndims(versions) is distinct from 1 or array_position(versions, null) is not null
    or array_ndims(embeddings) is distinct from 2 or cardinality(versions) <> array_length(embeddings, 1)
    or cardinality(digests) <> cardinality(versions) then
    raise exception using
      errcode = 'KC017',
      message = 'versions and embeddings do not match',
      detail = format('There are %s versions, %s embeddings and %s digests; no version is null.',
        coalesce(cardinality(versions)::text, 'no'), coalesce(array_length(embeddings, 1)::text, 'no'),
        coalesce(cardinality(digests)::text, 'no')),
      hint = 'Pass one embedding for every version, in the same order, as an array of arrays.';
  end if;
  foreach v_embedding slice 1 in array embeddings loop
    perform kata_data.check_embedding(v_embedding, format('the embedding of version %s', versions[v_place]));
    v_place := v_place + 1;
  end loop;
end
$$;
comment on function kata_data.check_embeddings(bigint[], real[], text[]) is
'Refuses embeddings that do not match their versions, or have no direction. KC017.';

create or replace function kata_data.embedding_rows(embeddings real[]) returns setof real[]
language plpgsql immutable
as $$
declare
  v_embedding real[];
begin
  -- A subscript would copy the whole array for each of its rows.
  foreach v_embedding slice 1 in array embeddings loop
    return next v_embedding;
  end loop;
end
$$;
comment on function kata_data.embedding_rows(real[]) is 'The rows of an array of arrays, in order.';
