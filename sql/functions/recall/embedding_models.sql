-- The embedding models of a tenant, with what they take: counted by segment, since the table has no index by model. Such an index would cost
-- each embedding an entry more.
-- plans: lookup

create or replace function kata.embedding_models()
returns table (name text, dimensions integer, embeddings bigint, bytes bigint, index_state text, tenant text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_tenant text;
  v_models integer[];
begin
  v_tenant := kata_data.current_tenant();
  if v_tenant = '*' then
    v_models := array(select d.model_id from kata_data.embedding_model d);
  else
    v_models := array(select d.model_id from kata_data.embedding_model d where d.tenant = v_tenant);
  end if;
  return query
  select d.name, d.dimensions, n.embeddings, n.embeddings * kata_data.embedding_bytes(d.dimensions), kata_data.embedding_index_state(d.model_id), d.tenant
  from unnest(v_models) m(model_id)
  join kata_data.embedding_model d on d.model_id = m.model_id
  cross join lateral kata_data.count_embeddings(m.model_id) n(embeddings)
  order by d.tenant collate "C", d.name collate "C";
end
$$;
comment on function kata.embedding_models() is
'Lists the embedding models that the tenant has embeddings of.

Under kata.tenant ''*'' those of all tenants.

Returns rows by name: name, dimensions, embeddings (how many), bytes (of the embeddings), index_state (null without an index; valid; invalid
while it is being built, or if its build was interrupted), tenant.
Cost: O(embeddings of the tenant).';
