-- Embeddings agree with the log: each has a message, or an amendment, that was not erased, the dimensions of its model, and length 1.

create or replace function kata_data.verify_embeddings(context_id uuid) returns setof kata_data.finding
language plpgsql stable rows 10
as $$
begin
  return query
  select e.version, 'embedding', format('Its message is gone or erased; it is of model %s.', e.model_id)
  from kata_data.embedding e
  where e.segment_id = verify_embeddings.context_id
    and (
      exists (select from kata_data.erasure r where r.segment_id = e.segment_id and r.version = e.version)
      or not exists (select from kata_data.message m where m.segment_id = e.segment_id and m.version = e.version)
        and not exists (
          select from kata_data.view_change c where c.segment_id = e.segment_id and c.version = e.version and c.kind = 'amendment'));
  return query
  select e.version, 'embedding', format('It has %s dimensions instead of %s, or another length than 1.', cardinality(e.embedding::real[]), d.dimensions)
  from kata_data.embedding e
  join kata_data.embedding_model d on d.model_id = e.model_id
  where e.segment_id = verify_embeddings.context_id
    and (cardinality(e.embedding::real[]) = d.dimensions and abs(kata_data.embedding_norm(e.embedding::real[]) - 1) < 0.01) is not true;
  return query
  select m.version, 'embedding mark', format('It is missing, and embeddings are complete up to version %s.', k.complete_through)
  from kata_data.embedding_mark k
  cross join lateral kata_data.first_without_embedding(k.segment_id, k.model_id, kata_data.segment_start(k.segment_id)) m(version)
  where k.segment_id = verify_embeddings.context_id
    and m.version <= k.complete_through;
end
$$;
comment on function kata_data.verify_embeddings(uuid) is
'Damage in the embeddings of what a context wrote itself. Cost: linear in the length of its messages.';

create or replace function kata_data.embeddings_without_context() returns table (segment_id uuid, version bigint, detail text)
language sql stable rows 10
as $$
  select o.segment_id, null::bigint, format('%s belongs to no context.', o.what)
  from (
    select k.segment_id, 'A mark of embeddings' as what from kata_data.embedding_mark k
    union
    select e.segment_id, 'An embedding' from kata_data.embedding e
  ) o
  where not exists (select from kata_data.head h where h.context_id = o.segment_id)
$$;
comment on function kata_data.embeddings_without_context() is 'Segments with embeddings that belong to no context.';
