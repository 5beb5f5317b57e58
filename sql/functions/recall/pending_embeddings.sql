-- The work of an embedder. A mark per segment says how far it is done, so a list does not look at what has its embedding. Contexts and their
-- messages come newest first: pages only go down, so they end although messages are appended, and no tenant that always has new ones keeps
-- an embedder from those of another.
-- plans: recall

create or replace function kata.pending_embeddings(
  model text, max_rows integer default 100, after_context uuid default null, after_version bigint default null
)
returns table (context_id uuid, version bigint, content text, digest text, tenant text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off set jit = off
as $$
declare
  v_tenant text;
  v_left integer := max_rows;
  v_rows integer;
  v_page uuid[] := array[after_context];
  v_below uuid := coalesce(after_context, 'ffffffff-ffff-ffff-ffff-ffffffffffff');
  v_context record;
begin
  v_tenant := kata_data.current_tenant();
  perform kata_data.check_max_rows(max_rows);
  perform kata_data.check_place(after_context, after_version);
  while v_page <> '{}' loop
    for v_context in
      select c.context_id, c.tenant, d.model_id, least(h.version, case when c.context_id = after_context then after_version - 1 end) as through
      from unnest(v_page) with ordinality p(context_id)
      join kata_data.context c on c.context_id = p.context_id and v_tenant in (c.tenant, '*') and c.deleted_at is null
      cross join lateral (select h.version from kata_data.head h where h.context_id = c.context_id and not h.closed offset 0) h
      left join kata_data.embedding_model d on d.tenant = c.tenant and d.name = pending_embeddings.model
      order by p.ordinality
    loop
      return query
      select v_context.context_id, t.version, t.content, t.digest, v_context.tenant
      from kata_data.texts_to_embed(
        v_context.context_id, kata_data.versions_to_embed(v_context.context_id, v_context.model_id, v_context.through, v_left)) t
      order by t.version desc;
      get diagnostics v_rows = row_count;
      v_left := v_left - v_rows;
      if v_left <= 0 then
        return;
      end if;
    end loop;
    v_page := kata_data.live_contexts_below(v_tenant, v_below, 100);
    v_below := v_page[cardinality(v_page)];
  end loop;
end
$$;
comment on function kata.pending_embeddings(text, integer, uuid, bigint) is
'Lists the texts of messages that have no embedding of a model yet, for kata.put_embeddings.

Each message is listed once, for all forks that read it; messages without a text and erased ones are not. An amendment is listed under its own
version, with the words that it shows. Under kata.tenant ''*'' those of
all tenants. Texts that the model refuses stay listed: go on behind them.

model: the name of the embedding model; one that is not known yet has no embeddings. max_rows: 1 to 1,000.
after_context, after_version: those of the last row of the page before; both null for the first page.

Returns rows, those of the newest context first, and of each context the newest message first: context_id, version, content (the speaker,
the message, and the beginning of the message before it, which helps to find an answer by its question), digest (of content, to hand to
kata.put_embeddings), tenant.
Errors: KC017 max_rows is out of range, or only one of after_context and after_version is null.
Cost: O(contexts of the tenant + rows), and per segment that is not done, the messages above the oldest one without an embedding.';
