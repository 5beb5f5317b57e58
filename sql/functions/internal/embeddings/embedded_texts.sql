-- The text that an embedding is made of: the speaker, what is said, and how the message before ends the context of it. With the beginning
-- of the message before, a small model finds an answer that does not repeat its question. Amended words have a text of their own, under the
-- version of the amendment.

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
    union all
    select a.segment_id, a.version, concat(coalesce((a.message).name, (a.message).role), ': ', left(kata_data.search_text(a.message), 8000))
    from unnest(texts_to_embed.versions) r(range)
    cross join lateral kata_data.amended_words(texts_to_embed.context_id, lower(r.range), upper(r.range) - 1) a
    where kata_data.search_text(a.message) ~ E'\\S' collate kata_data.c_utf8
    offset 0
  ) t
$$;
comment on function kata_data.texts_to_embed(uuid, int8multirange) is
'The texts of messages and amendments that embeddings are made of; no row for one without a text, or that was erased.

Returns content: the speaker, the first 8,000 characters of the message and 120 of the one before it on the path; digest: SHA-256 of it.
Of an amendment the speaker and the words alone.';

create or replace function kata_data.amended_words(context_id uuid, low bigint, high bigint)
returns table (segment_id uuid, version bigint, change_id bigint, message kata_data.message)
language sql stable rows 1
as $$
  select c.segment_id, c.version, c.change_id, w
  from kata_data.segments(amended_words.context_id, low, high) s
  cross join lateral kata_data.words_of_segment(s.segment_id, s.first_version - 1, s.last_version) c
  cross join lateral kata_data.amended(c.said, c.amendment) w
$$;
comment on function kata_data.amended_words(uuid, bigint, bigint) is
'The amendments of messages that took versions of a path, in force or not, erased ones left out, with the messages in their words.';

create or replace function kata_data.words_of_segment(segment_id uuid, after bigint, through bigint)
returns table (segment_id uuid, version bigint, change_id bigint, said kata_data.message, amendment kata_data.amendment)
language sql stable rows 1
as $$
  select c.segment_id, c.version, c.change_id, m.said, a.amendment
  from kata_data.view_change c
  cross join lateral (
    select a as amendment, a.segment_id, a.version from kata_data.amendment a where a.change_id = c.change_id offset 0
  ) a
  cross join lateral (
    select m as said from kata_data.message m where m.segment_id = a.segment_id and m.version = a.version offset 0
  ) m
  where c.segment_id = words_of_segment.segment_id
    and c.kind = 'amendment'
    and c.version > after
    and c.version <= through
    and not exists (
      select from kata_data.erasure e
      where e.segment_id = c.segment_id
        and e.version = c.version)
$$;
comment on function kata_data.words_of_segment(uuid, bigint, bigint) is
'The amendments of messages that a segment has after a version and up to another, erased ones left out. Cost: O(amendments).';

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
  perform
  from unnest(versions) r(range)
  cross join lateral kata_data.amended_words(share_messages.context_id, lower(r.range), upper(r.range) - 1) w
  join kata_data.amendment a on a.change_id = w.change_id
  for key share of a;
end
$$;
comment on function kata_data.share_messages(uuid, int8multirange) is
'Shares messages, those before them, and amendments until the end of the transaction.

An erasure and a purge of one wait and remove its embeddings; or they came first, and the text is another one now.';
