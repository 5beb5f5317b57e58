-- Drops the index for long contexts. Recall finds the same without it, or more. DROP INDEX CONCURRENTLY cannot run in a function, and what
-- this waits for makes others wait behind it, so the wait is bounded.
-- plans: lookup

create or replace function kata.drop_embedding_index(model text) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_model kata_data.embedding_model;
  v_wait text;
begin
  v_model := kata_data.find_model(kata_data.current_tenant(), model);
  if kata_data.embedding_index_state(v_model.model_id) is null then
    return false;
  end if;
  v_wait := kata_data.bound_wait();
  execute 'drop index kata_data.' || kata_data.embedding_index_name(v_model.model_id);
  perform set_config('lock_timeout', v_wait, true);
  return true;
exception
  when lock_not_available then
    perform kata_data.refuse_busy_index(v_model.model_id);
    return null;
end
$$;
comment on function kata.drop_embedding_index(text) is
'Drops the index on the embeddings of a model; the embeddings stay.

model: a model of the tenant.

An owner of the tables can drop it without making others wait: drop index concurrently, with the name that kata.build_embedding_index returns.

Returns whether there was one.
Errors: KC017 model is unknown, KC025 another session uses the embeddings for longer than lock_timeout, or 10 seconds where that is not set.
Locks: the table of embeddings, exclusively, until the end of the transaction; readers wait, too. Cost: O(1).';
