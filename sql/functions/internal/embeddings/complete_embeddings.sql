-- How far the messages of a segment have embeddings. The marks are the last locks of kata.put_embeddings. It passes over one that another
-- session holds, and the next call catches up. It waits for one only while another session makes it: with the first embeddings of the
-- segment. Marks are taken by ascending segment, so these waits form no cycle.

create or replace function kata_data.complete_embeddings(segment_id uuid, model_id integer) returns void
language plpgsql volatile
as $$
declare
  v_through bigint;
begin
  select k.complete_through into v_through
  from kata_data.embedding_mark k
  where k.segment_id = complete_embeddings.segment_id
    and k.model_id = complete_embeddings.model_id
  for update skip locked;
  if not found then
    -- An insert waits for a session that inserts the same mark or holds it, so only a mark that was never seen is inserted.
    if exists (
      select from kata_data.embedding_mark k
      where k.segment_id = complete_embeddings.segment_id
        and k.model_id = complete_embeddings.model_id) then
      return;
    end if;
    v_through := kata_data.segment_start(complete_embeddings.segment_id);
    insert into kata_data.embedding_mark (segment_id, model_id, complete_through)
    values (complete_embeddings.segment_id, complete_embeddings.model_id, v_through)
    on conflict on constraint embedding_mark_pkey do nothing;
    if not found then
      return;
    end if;
  end if;
  update kata_data.embedding_mark k
  set complete_through = coalesce(
    kata_data.first_without_embedding(k.segment_id, k.model_id, v_through) - 1,
    (select max(m.version) from kata_data.message m where m.segment_id = k.segment_id and m.version > v_through),
    v_through)
  where k.segment_id = complete_embeddings.segment_id
    and k.model_id = complete_embeddings.model_id;
end
$$;
comment on function kata_data.complete_embeddings(uuid, integer) is
'Moves the mark of a segment to where the first embedding is missing. Cost: O(messages that the mark passes).';

create or replace function kata_data.first_without_embedding(segment_id uuid, model_id integer, after bigint) returns bigint
language plpgsql stable
as $$
begin
  return (
    select m.version
    from kata_data.message m
    where m.segment_id = first_without_embedding.segment_id
      and m.version > after
      and kata_data.search_text(m) ~ E'\\S' collate kata_data.c_utf8
      and not exists (
        select from kata_data.erasure e
        where e.segment_id = m.segment_id
          and e.version = m.version
        offset 0)
      and not exists (
        select from kata_data.embedding e
        where e.segment_id = m.segment_id
          and e.model_id = first_without_embedding.model_id
          and e.version = m.version
        offset 0)
    order by m.version
    limit 1);
end
$$;
comment on function kata_data.first_without_embedding(uuid, integer, bigint) is
'The first message of a segment after a version that has a text and no embedding; null for none. Cost: O(messages before it).';

create or replace function kata_data.pieces_to_embed(for_tenant text, model text)
returns table (context_id uuid, tenant text, segment_id uuid, model_id integer, done bigint, last_version bigint)
language plpgsql stable rows 100
as $$
begin
  return query
  select distinct on (s.segment_id) c.context_id, c.tenant, s.segment_id, d.model_id, greatest(k.complete_through, s.first_version - 1), s.last_version
  from kata_data.context c
  cross join lateral (
    select h.version
    from kata_data.head h
    where h.context_id = c.context_id
      and not h.closed
    offset 0
  ) h
  cross join lateral kata_data.segments(c.context_id, 1, h.version) s
  left join kata_data.embedding_model d on d.tenant = c.tenant and d.name = model
  left join kata_data.embedding_mark k on k.segment_id = s.segment_id and k.model_id = d.model_id
  where for_tenant in (c.tenant, '*')
    and (k.complete_through < s.last_version) is not false
  order by s.segment_id, s.last_version desc, c.context_id;
end
$$;
comment on function kata_data.pieces_to_embed(text, text) is
'The segments of live contexts that may have messages without an embedding of a model, each as its longest reader sees it.

done: the version up to which it has none. model_id: null for a model without embeddings. Cost: O(contexts of the tenant).';

create or replace function kata_data.without_embedding(segment_id uuid, model_id integer, after bigint, through bigint, max_rows integer)
returns table (version bigint)
language plpgsql stable rows 100
as $$
begin
  version := after;
  for i in 1 .. max_rows loop
    version := kata_data.first_without_embedding(segment_id, model_id, version);
    exit when version is null or version > through;
    return next;
  end loop;
end
$$;
comment on function kata_data.without_embedding(uuid, integer, bigint, bigint, integer) is
'The first messages of a segment between two versions that have a text and no embedding.';
