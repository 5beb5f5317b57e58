-- Stores what a model made of messages. It takes no head and no mark of a search: the rows of the messages, and of those before them whose
-- beginning was embedded too, are shared, so that an erasure or a purge either waits and removes the embeddings, or came first and has
-- left no text.
-- plans: writer

create or replace function kata.put_embeddings(
  context_id uuid, model text, versions bigint[], embeddings real[], digests text[] default null
) returns integer
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_newest bigint;
  v_versions int8multirange;
  v_model kata_data.embedding_model;
  v_texts kata_data.text_to_embed[];
  v_unknown bigint;
  v_rows integer;
begin
  v_newest := (kata_data.open_context(context_id, access => 'write')).version;
  perform kata_data.check_list('versions', cardinality(versions));
  perform kata_data.check_embeddings(versions, embeddings, digests);
  v_model := kata_data.make_model(kata_data.tenant_of(context_id), model, array_length(embeddings, 2));
  v_versions := (select range_agg(int8range(u.version, u.version, '[]')) from unnest(versions) u(version) where u.version between 1 and v_newest);
  perform kata_data.share_messages(context_id, v_versions);
  v_texts := array(select t::kata_data.text_to_embed from kata_data.texts_to_embed(put_embeddings.context_id, v_versions) t);
  select min(u.version) into v_unknown
  from unnest(versions) u(version)
  where digests is null
    and u.version not in (select t.version from unnest(v_texts) t);
  if v_unknown is not null then
    raise exception using
      errcode = 'KC002',
      message = format('version %s not found', v_unknown),
      detail = format('Context %s has no message of this version, or one without a text.', context_id),
      hint = 'Embed the messages that kata.pending_embeddings lists. No embedding was stored.';
  end if;
  insert into kata_data.embedding as e (segment_id, model_id, version, embedding)
  select distinct on (t.segment_id, t.version) t.segment_id, v_model.model_id, t.version, kata_data.normalized(p.embedding)
  from unnest(v_texts) t
  join (
    select u.version, u.ordinality, d.digest, e.embedding
    from unnest(versions) with ordinality u(version, ordinality)
    join kata_data.embedding_rows(embeddings) with ordinality e(embedding, ordinality) on e.ordinality = u.ordinality
    left join unnest(digests) with ordinality d(digest, ordinality) on d.ordinality = u.ordinality
  ) p on p.version = t.version
  where digests is null
    or p.digest = t.digest
  order by t.segment_id, t.version, p.ordinality desc
  on conflict on constraint embedding_pkey do update
  set embedding = excluded.embedding;
  get diagnostics v_rows = row_count;
  perform kata_data.complete_embeddings(s.segment_id, v_model.model_id)
  from (select distinct t.segment_id from unnest(v_texts) t order by t.segment_id) s;
  return v_rows;
end
$$;
comment on function kata.put_embeddings(uuid, text, bigint[], real[], text[]) is
'Stores the embeddings of messages, for kata.recall.

Embeddings of inherited messages are shared with the context that wrote them. They are stored with length 1, so only their direction counts.
Their first use makes the model, which belongs to the tenant.

context_id: the context.
model: a name of the embedding model, 1 to 255 characters. All of its embeddings have the dimensions of the first.
versions, embeddings: one embedding for every version, of a message or an amendment, at most 10,000, an array of arrays; a later one for the same version wins. It replaces
  an earlier embedding.
digests: what kata.pending_embeddings returned with the texts; null to store in any case. Where the text is another one now, because it or
  the message before was erased, the embedding is passed over.

Returns how many embeddings were stored.
Errors: KC001, KC002 no message or amendment with a text has this version, KC006, KC017 arrays do not match or are too long, other dimensions, a zero vector, NaN.
Locks: the messages and those before them (FOR KEY SHARE); a model while another session makes it. Cost: O(numbers).';
