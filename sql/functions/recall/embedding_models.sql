-- The embedding models of a tenant, with what they take.
-- plans: lookup

create or replace function kata.embedding_models()
returns table (name text, dimensions integer, embeddings bigint, bytes bigint, index_state text, tenant text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_tenant text;
begin
  v_tenant := kata_data.current_tenant();
  return query
  select d.name, d.dimensions, e.embeddings, e.bytes, kata_data.embedding_index_state(d.model_id), d.tenant
  from kata_data.embedding_model d
  cross join lateral (
    select count(*) as embeddings, coalesce(sum(pg_column_size(e.embedding)), 0)::bigint as bytes
    from kata_data.embedding e
    where e.model_id = d.model_id
  ) e
  where v_tenant in (d.tenant, '*')
  order by d.tenant collate "C", d.name collate "C";
end
$$;
comment on function kata.embedding_models() is
'Lists the embedding models that the tenant has embeddings of.

Under kata.tenant ''*'' those of all tenants.

Returns rows by name: name, dimensions, embeddings (how many), bytes (of the embeddings), index_state (null without an index; valid; invalid
while it is being built, or if its build was interrupted), tenant.
Cost: O(embeddings).';
