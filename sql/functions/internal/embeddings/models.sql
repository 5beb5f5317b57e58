-- Models of a tenant. Another tenant may have a model of the same name with other dimensions, so none can spoil a name for the others.

create or replace function kata_data.find_model(tenant text, model text) returns kata_data.embedding_model
language plpgsql stable
as $$
declare
  v_model kata_data.embedding_model;
begin
  select d.* into v_model
  from kata_data.embedding_model d
  where d.tenant = find_model.tenant
    and d.name = find_model.model;
  if not found then
    raise exception using
      errcode = 'KC017',
      message = format('embedding model "%s" is unknown', coalesce(left(model, 100), 'null')),
      detail = format('Tenant "%s" has no embeddings of it.', tenant),
      hint = 'Store some with kata.put_embeddings; kata.embedding_models lists the models.';
  end if;
  return v_model;
end
$$;
comment on function kata_data.find_model(text, text) is 'A model of a tenant. KC017 unknown.';

create or replace function kata_data.check_dimensions(model kata_data.embedding_model, dimensions integer) returns void
language plpgsql immutable
as $$
begin
  if dimensions = model.dimensions then
    return;
  end if;
  raise exception using
    errcode = 'KC017',
    message = format('embedding has %s dimensions', coalesce(dimensions::text, 'no')),
    detail = format('Those of model "%s" have %s.', left(model.name, 100), model.dimensions),
    hint = 'Pass embeddings of this model, or give another model another name.';
end
$$;
comment on function kata_data.check_dimensions(kata_data.embedding_model, integer) is
'Refuses embeddings with other dimensions than the first ones of their model. KC017.';

create or replace function kata_data.make_model(tenant text, model text, dimensions integer) returns kata_data.embedding_model
language plpgsql volatile
as $$
declare
  v_model kata_data.embedding_model;
begin
  if model is null or length(model) not between 1 and 255 then
    raise exception using
      errcode = 'KC017',
      message = 'model is too long or empty',
      detail = format('It has %s characters.', coalesce(length(model), 0)),
      hint = 'Pass the name of the embedding model, 1 to 255 characters.';
  end if;
  insert into kata_data.embedding_model (tenant, name, dimensions, created_at)
  values (make_model.tenant, model, make_model.dimensions, kata_data.clock())
  on conflict on constraint embedding_model_name_unique do nothing;
  v_model := kata_data.find_model(tenant, model);
  perform kata_data.check_dimensions(v_model, dimensions);
  return v_model;
end
$$;
comment on function kata_data.make_model(text, text, integer) is
'A model of a tenant, made by its first embeddings. Waits for a session that is making it. KC017.';

create or replace function kata_data.model_of_query(context_id uuid, query text, embedding real[], model text) returns integer
language plpgsql stable
as $$
declare
  v_model kata_data.embedding_model;
begin
  if query is not null or embedding is null then
    perform kata_data.check_query(query);
  end if;
  if embedding is null and model is null then
    return null;
  end if;
  if embedding is null or model is null then
    raise exception using
      errcode = 'KC017',
      message = case when model is null then 'the embedding of the query has no model' else 'the query has no embedding of a model' end,
      detail = case when model is null then 'model is null.' else format('model is "%s", embedding is null.', left(model, 100)) end,
      hint = 'Pass an embedding of the query together with the model that made it, or neither of the two for words alone.';
  end if;
  perform kata_data.check_embedding(embedding, 'the embedding of the query');
  v_model := kata_data.find_model(kata_data.tenant_of(context_id), model);
  perform kata_data.check_dimensions(v_model, cardinality(embedding));
  return v_model.model_id;
end
$$;
comment on function kata_data.model_of_query(uuid, text, real[], text) is
'The model of the embedding of a query; null for words alone. Refuses what is neither. KC017.';

create or replace function kata_data.tenant_of(context_id uuid) returns text
language plpgsql stable
as $$
begin
  return (select c.tenant from kata_data.context c where c.context_id = tenant_of.context_id);
end
$$;
comment on function kata_data.tenant_of(uuid) is 'The tenant of a context.';

create or replace function kata_data.count_embeddings(model_id integer) returns bigint
language plpgsql stable
as $$
begin
  return (
    select coalesce(sum(e.embeddings), 0)
    from kata_data.embedding_mark k
    cross join lateral (
      select count(*) as embeddings
      from kata_data.embedding e
      where e.segment_id = k.segment_id
        and e.model_id = k.model_id
      offset 0
    ) e
    where k.model_id = count_embeddings.model_id);
end
$$;
comment on function kata_data.count_embeddings(integer) is
'How many embeddings a model has; every segment with some has a mark. Cost: O(embeddings of the model).';

create or replace function kata_data.embedding_bytes(dimensions integer) returns bigint
language plpgsql stable
as $$
begin
  return case when kata_data.vector_schema() is null then 24 + 4 * dimensions else 8 + 2 * dimensions end;
end
$$;
comment on function kata_data.embedding_bytes(integer) is 'The bytes of an embedding.';
