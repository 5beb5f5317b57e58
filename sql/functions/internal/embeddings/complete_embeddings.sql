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
  return least((
    select m.version
    from kata_data.texts_without_embedding(
      first_without_embedding.segment_id, first_without_embedding.model_id, after, 9223372036854775807) m
    order by m.version
    limit 1), (
    select min(a.version)
    from kata_data.amendments_without_embedding(
      first_without_embedding.segment_id, first_without_embedding.model_id, after, 9223372036854775807) a));
end
$$;
comment on function kata_data.first_without_embedding(uuid, integer, bigint) is
'The first message or amendment of a segment after a version that has a text and no embedding; null for none. Cost: O(messages before it).';
