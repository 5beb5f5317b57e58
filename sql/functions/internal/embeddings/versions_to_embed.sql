-- The messages that have no embedding of a model yet, context by context.

create or replace function kata_data.live_contexts_below(for_tenant text, below uuid, max_rows integer) returns uuid[]
language plpgsql stable
as $$
begin
  -- Two statements, as in list_contexts: each reads its page from one index.
  if for_tenant = '*' then
    return array(
      select c.context_id from kata_data.context c
      where c.context_id < below and c.deleted_at is null
      order by c.context_id desc limit max_rows);
  end if;
  return array(
    select c.context_id from kata_data.context c
    where c.tenant = for_tenant and c.context_id < below and c.deleted_at is null
    order by c.context_id desc limit max_rows);
end
$$;
comment on function kata_data.live_contexts_below(text, uuid, integer) is
'The next contexts of a tenant, * for all, that are not deleted, newest first.';

create or replace function kata_data.check_place(after_context uuid, after_version bigint) returns void
language plpgsql immutable
as $$
begin
  if (after_context is null) = (after_version is null) then
    return;
  end if;
  raise exception using
    errcode = 'KC017',
    message = 'after_context and after_version go together',
    detail = format('after_context is %s, and after_version is %s.', coalesce(after_context::text, 'null'), coalesce(after_version::text, 'null')),
    hint = 'Pass both of the last row of the page before, or neither.';
end
$$;
comment on function kata_data.check_place(uuid, bigint) is 'Refuses half of a place in a list. KC017.';

create or replace function kata_data.versions_to_embed(context_id uuid, model_id integer, through bigint, max_rows integer) returns int8multirange
language plpgsql stable
as $$
declare
  v_piece record;
  v_left integer := max_rows;
  v_versions bigint[];
  v_all bigint[] := '{}'::bigint[];
begin
  for v_piece in
    select s.segment_id, greatest(k.complete_through, s.first_version - 1) as done, s.last_version
    from kata_data.segments(versions_to_embed.context_id, 1, through) s
    left join lateral (
      select k.complete_through
      from kata_data.embedding_mark k
      where k.segment_id = s.segment_id
        and k.model_id = versions_to_embed.model_id
      offset 0
    ) k on true
    where (k.complete_through < s.last_version) is not false
    order by s.last_version desc
  loop
    continue when v_piece.segment_id <> context_id and kata_data.reader_of(v_piece.segment_id) is distinct from context_id;
    v_versions := array(
      select n.version
      from kata_data.without_embedding(v_piece.segment_id, versions_to_embed.model_id, v_piece.done, v_piece.last_version, v_left) n);
    v_all := v_all || v_versions;
    v_left := v_left - cardinality(v_versions);
    exit when v_left <= 0;
  end loop;
  return (select range_agg(int8range(n.version, n.version, '[]')) from unnest(v_all) n(version));
end
$$;
comment on function kata_data.versions_to_embed(uuid, integer, bigint, integer) is
'The newest messages and amendments of a live context, up to a version, without an embedding; null for none.

An inherited segment is that of its own context where that is live, else of the live context that reads most of it.';

create or replace function kata_data.reader_of(segment_id uuid) returns uuid
language plpgsql stable
as $$
begin
  if exists (select from kata_data.head h where h.context_id = reader_of.segment_id and not h.closed) then
    return segment_id;
  end if;
  return (
    select l.context_id
    from kata_data.lineage l
    cross join lateral (select from kata_data.head h where h.context_id = l.context_id and not h.closed offset 0) h
    where l.segment_id = reader_of.segment_id
      and l.segment_id <> l.context_id
    -- Of several the first in the index: rows of lineage never move, so it stays the same one.
    order by l.last_version desc
    limit 1);
end
$$;
comment on function kata_data.reader_of(uuid) is
'The live context that has the messages of a segment embedded: its own, else the one that reads most of it. Cost: O(deleted forks).';

create or replace function kata_data.without_embedding(segment_id uuid, model_id integer, after bigint, through bigint, max_rows integer)
returns table (version bigint)
language plpgsql stable rows 100
as $$
begin
  return query
  select n.version
  from (
    (select m.version
     from kata_data.texts_without_embedding(
       without_embedding.segment_id, without_embedding.model_id, without_embedding.after, without_embedding.through) m
     order by m.version desc
     limit max_rows)
    union all
    select a.version
    from kata_data.amendments_without_embedding(
      without_embedding.segment_id, without_embedding.model_id, without_embedding.after, without_embedding.through) a
  ) n
  order by n.version desc
  limit max_rows;
end
$$;
comment on function kata_data.without_embedding(uuid, integer, bigint, bigint, integer) is
'The newest messages and amendments of a segment between two versions that have a text and no embedding.';

create or replace function kata_data.amendments_without_embedding(segment_id uuid, model_id integer, after bigint, through bigint)
returns table (version bigint)
language sql stable rows 1
as $$
  select c.version
  from kata_data.words_of_segment(
    amendments_without_embedding.segment_id, amendments_without_embedding.after, amendments_without_embedding.through) c
  where not exists (
      select from kata_data.embedding e
      where e.segment_id = c.segment_id
        and e.model_id = amendments_without_embedding.model_id
        and e.version = c.version)
    and kata_data.search_text(kata_data.amended(c.said, c.amendment)) ~ E'\\S' collate kata_data.c_utf8
$$;
comment on function kata_data.amendments_without_embedding(uuid, integer, bigint, bigint) is
'The amendments of a segment, after a version and up to another, that have words and no embedding.';

create or replace function kata_data.texts_without_embedding(segment_id uuid, model_id integer, after bigint, through bigint)
returns table (version bigint)
language sql stable
as $$
  select m.version
  from kata_data.message m
  where m.segment_id = texts_without_embedding.segment_id
    and m.version > after
    and m.version <= through
    and not exists (
      select from kata_data.embedding e
      where e.segment_id = m.segment_id
        and e.model_id = texts_without_embedding.model_id
        and e.version = m.version
      offset 0)
    and kata_data.search_text(m) ~ E'\\S' collate kata_data.c_utf8
    and not exists (
      select from kata_data.erasure e
      where e.segment_id = m.segment_id
        and e.version = m.version
      offset 0)
$$;
comment on function kata_data.texts_without_embedding(uuid, integer, bigint, bigint) is
'The messages of a segment, after a version and up to another, that have a text and no embedding. Queries inline it.';
