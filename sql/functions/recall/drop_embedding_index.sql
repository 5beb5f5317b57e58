-- Drops the index for long contexts. Recall finds the same without it, or more.
-- plans: lookup

create or replace function kata.drop_embedding_index(model text) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_model kata_data.embedding_model;
begin
  v_model := kata_data.find_model(kata_data.current_tenant(), model);
  if kata_data.embedding_index_state(v_model.model_id) is null then
    return false;
  end if;
  execute 'drop index kata_data.' || kata_data.embedding_index_name(v_model.model_id);
  return true;
end
$$;
comment on function kata.drop_embedding_index(text) is
'Drops the index on the embeddings of a model; the embeddings stay.

model: a model of the tenant.

Returns whether there was one.
Errors: KC017 model is unknown. Locks: the table of embeddings, for a moment. Cost: O(1).';
