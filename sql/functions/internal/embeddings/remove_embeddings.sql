-- Removes the embeddings of an erased or purged message, and those of the messages that have it before them: their texts hold
-- its beginning.
create or replace function kata_data.forget_embeddings(segment_id uuid, version bigint) returns void
language plpgsql volatile
as $$
declare
  v_concerned record;
begin
  for v_concerned in
    select forget_embeddings.segment_id, forget_embeddings.version
    union
    select n.segment_id, n.version
    from kata_data.messages_after(forget_embeddings.segment_id, forget_embeddings.version) n
    order by 1, 2
  loop
    delete from kata_data.embedding e
    using kata_data.embedding_model d
    where e.segment_id = v_concerned.segment_id
      and e.model_id = d.model_id
      and e.version = v_concerned.version;
    update kata_data.embedding_mark k
    set complete_through = v_concerned.version - 1
    where k.segment_id = v_concerned.segment_id
      and k.complete_through >= v_concerned.version;
  end loop;
end
$$;
comment on function kata_data.forget_embeddings(uuid, bigint) is
'Removes the embeddings of an erased message and of those that follow it. The caller holds the row of the message.

Cost: O(family × fork depth + models).';

create or replace function kata_data.messages_after(origin_id uuid, origin_version bigint) returns table (segment_id uuid, version bigint)
language plpgsql stable rows 10
as $$
begin
  return query
  select distinct n.segment_id, n.version
  from kata_data.contexts_reading(messages_after.origin_id, messages_after.origin_version) r
  cross join lateral (
    select m.segment_id, m.version
    from (
      select s.segment_id, s.first_version, s.last_version
      from kata_data.segments(r.context_id, messages_after.origin_version + 1, 9223372036854775807) s
      order by s.first_version
      offset 0
    ) s
    cross join lateral (
      select m.segment_id, m.version
      from kata_data.message m
      where m.segment_id = s.segment_id
        and m.version between s.first_version and s.last_version
      order by m.version
      limit 1
    ) m
    limit 1
  ) n;
end
$$;
comment on function kata_data.messages_after(uuid, bigint) is
'The messages that follow a message on the paths of all contexts that read it: one per context at most. Cost: O(family × fork depth).';

create or replace function kata_data.trim_embeddings(segment_id uuid, through bigint) returns void
language plpgsql volatile
as $$
begin
  delete from kata_data.embedding e where e.segment_id = trim_embeddings.segment_id and e.version > through;
  delete from kata_data.embedding_mark k where k.segment_id = trim_embeddings.segment_id and through < 0;
  update kata_data.embedding_mark k
  set complete_through = through
  where k.segment_id = trim_embeddings.segment_id
    and k.complete_through > through;
end
$$;
comment on function kata_data.trim_embeddings(uuid, bigint) is
'Removes the embeddings of a segment above a version, after its messages; above -1, all. Cost: O(rows removed).';
