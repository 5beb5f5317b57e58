-- The text that an embedding is made of: the speaker, what is said, and how the message before ends the context of it. With the beginning
-- of the message before, a small model finds an answer that does not repeat its question.

create or replace function kata_data.texts_to_embed(context_id uuid, versions int8multirange)
returns table (segment_id uuid, version bigint, content text, digest text)
language sql stable rows 100
as $$
  select t.segment_id, t.version, t.content, encode(sha256(convert_to(t.content, 'UTF8')), 'hex')
  from (
    select m.segment_id, m.version,
      concat(coalesce(m.name, m.role), ': ', left(b.body, 8000), E'\n' || left(p.body, 120)) as content
    from kata_data.path_messages(texts_to_embed.context_id, texts_to_embed.versions) m
    cross join lateral (select kata_data.search_text(m) as body offset 0) b
    left join lateral (
      select kata_data.search_text(p) as body
      from kata_data.message_at(texts_to_embed.context_id, m.version - 1) p
    ) p on true
    where b.body ~ E'\\S' collate kata_data.c_utf8
      and not exists (
        select from kata_data.erasure e
        where e.segment_id = m.segment_id
          and e.version = m.version)
    offset 0
  ) t
$$;
comment on function kata_data.texts_to_embed(uuid, int8multirange) is
'The texts of messages that embeddings are made of; no row for a message without a text, or that was erased.

Returns content: the speaker, the first 8,000 characters of the message and 120 of the one before it on the path; digest: SHA-256 of it.';

create or replace function kata_data.share_messages(context_id uuid, versions int8multirange) returns void
language plpgsql volatile
as $$
begin
  perform
  from (
    select x.segment_id, x.version
    from (
      select m.segment_id, m.version
      from kata_data.path_messages(share_messages.context_id, share_messages.versions) m
      union
      select p.segment_id, p.version
      from kata_data.path_messages(share_messages.context_id, share_messages.versions) m
      cross join lateral kata_data.message_at(share_messages.context_id, m.version - 1) p
    ) x
    order by x.segment_id, x.version
    offset 0
  ) x
  cross join lateral (
    select
    from kata_data.message m
    where m.segment_id = x.segment_id
      and m.version = x.version
    for key share
  ) m;
end
$$;
comment on function kata_data.share_messages(uuid, int8multirange) is
'Shares messages and those before them until the end of the transaction.

An erasure and a purge of one wait and remove its embeddings; or they came first, and the text is another one now.';
