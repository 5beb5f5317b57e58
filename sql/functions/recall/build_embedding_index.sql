-- Builds the index for long contexts, or plans it. A function cannot build concurrently: `kata index --vectors` runs the statement of a dry
-- run by itself, so that nothing waits, and then comes here for the measurement.
-- plans: lookup

create or replace function kata.build_embedding_index(
  model text, m integer default 16, ef_construction integer default 64, dry_run boolean default false, method text default 'hnsw'
)
returns table (index text, bytes bigint, seconds double precision, recall_at_10 double precision, statement text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_model kata_data.embedding_model;
  v_start timestamptz := clock_timestamp();
  v_embeddings bigint;
  v_wait text;
begin
  v_model := kata_data.find_model(kata_data.current_tenant(), model);
  v_embeddings := kata_data.count_embeddings(v_model.model_id);
  bytes := kata_data.embedding_index_bytes(v_embeddings, v_model.dimensions, m);
  perform kata_data.check_embedding_index(v_model, method, m, ef_construction, bytes);
  index := 'kata_data.' || kata_data.embedding_index_name(v_model.model_id);
  statement := kata_data.embedding_index_statement(v_model, m, ef_construction);
  if dry_run is false then
    if kata_data.embedding_index_state(v_model.model_id) is distinct from 'valid' then
      v_wait := kata_data.bound_wait();
      execute 'drop index if exists ' || index;
      execute statement;
      perform set_config('lock_timeout', v_wait, true);
      seconds := extract(epoch from clock_timestamp() - v_start);
    end if;
    perform kata_data.prepare_embedding_index(index);
    bytes := pg_relation_size(index);
    recall_at_10 := kata_data.embedding_index_recall(v_model);
  end if;
  return next;
exception
  when lock_not_available then
    perform kata_data.refuse_busy_index(v_model.model_id);
end
$$;
comment on function kata.build_embedding_index(text, integer, integer, boolean, text) is
'Builds an HNSW index on the embeddings of a model, or measures the one that is there.

Recall does not need one: it re-scores what the words find, and looks at every embedding of a path otherwise. The index serves queries
without a word in common on paths of more than 20,000 versions.

model: a model of the tenant. m: links per embedding, 2 to 100. ef_construction: candidates per link, 2 m to 1,000.
dry_run: only estimate and return the statement. method: hnsw.

Returns one row: index (its name), bytes (of the index; in a dry run the memory that the build takes), seconds (of the build; null where there
was none), recall_at_10 (the share of the exact ten nearest that it finds), statement (which builds it; `kata index --vectors` runs it
concurrently).
Errors: KC017 model is unknown, its graph does not fit into maintenance_work_mem, the extension vector is missing or older than 0.8,
another method, KC025 another session writes embeddings for longer than lock_timeout, or 10 seconds where that is not set.
Locks: put_embeddings, erasures and purges wait for a build. Cost: O(embeddings).';
