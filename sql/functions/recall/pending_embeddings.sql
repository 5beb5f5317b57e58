-- The work of an embedder. A mark per segment says how far it is done, so a list does not look at what has its embedding.
-- plans: recall

create or replace function kata.pending_embeddings(model text, max_rows integer default 100)
returns table (context_id uuid, version bigint, content text, digest text, tenant text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off set jit = off
as $$
declare
  v_tenant text;
  v_left integer := max_rows;
  v_piece record;
  v_versions int8multirange;
  v_rows integer;
begin
  v_tenant := kata_data.current_tenant();
  perform kata_data.check_max_rows(max_rows);
  for v_piece in
    select p.context_id, p.tenant, p.segment_id, p.model_id, p.done, p.last_version
    from kata_data.pieces_to_embed(v_tenant, model) p
  loop
    v_versions := (
      select range_agg(int8range(n.version, n.version, '[]'))
      from kata_data.without_embedding(v_piece.segment_id, v_piece.model_id, v_piece.done, v_piece.last_version, v_left) n);
    return query
    select v_piece.context_id, t.version, t.content, t.digest, v_piece.tenant
    from kata_data.texts_to_embed(v_piece.context_id, v_versions) t
    order by t.version;
    get diagnostics v_rows = row_count;
    v_left := v_left - v_rows;
    exit when v_left <= 0;
  end loop;
end
$$;
comment on function kata.pending_embeddings(text, integer) is
'Lists the texts of messages that have no embedding of a model yet, for kata.put_embeddings.

Each message is listed once, for all forks that read it; messages without a text and erased ones are not. Under kata.tenant ''*'' those of
all tenants.

model: the name of the embedding model; one that is not known yet has no embeddings. max_rows: 1 to 1,000.

Returns rows: context_id, version, content (the speaker, the message, and the beginning of the message before it, which helps to find an
answer by its question), digest (of content, to hand to kata.put_embeddings), tenant.
Errors: KC017. Cost: O(contexts of the tenant + rows).';
