-- Digests of a path and what they cover, so that a program without the database recomputes the chain. The functions of the write path and
-- of verify make the frames. A role that may read a text may have its salt, too, as long as both are there.
-- plans: reader

create or replace function kata.entry_digests(
  context_id uuid, after bigint default null, max_rows integer default 100, at bigint default null
)
returns table (version bigint, kind text, digest bytea, frame text, content_digest bytea, salt bytea, stub_salts bytea[])
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_at bigint;
  v_low bigint := greatest(coalesce(after, 0), 0);
  v_high bigint;
begin
  v_at := (kata_data.open_context(context_id, at)).at;
  perform kata_data.check_max_rows(max_rows);
  if v_low >= v_at then
    return;
  end if;
  -- Versions are dense: a page is a range of them.
  v_high := v_low + least(v_at - v_low, max_rows);
  return query
  select m.version, 'message', m.digest, kata_data.frame_of(m), coalesce(e.content_digest, kata_data.content_digest_of(m)), m.salt, null::bytea[]
  from kata_data.path_messages(entry_digests.context_id, int8multirange(int8range(v_low + 1, v_high, '[]'))) m
  left join lateral (
    select e.content_digest
    from kata_data.erasure e
    where e.segment_id = m.segment_id
      and e.version = m.version
    offset 0
  ) e on true
  union all
  select c.version, c.kind, c.digest, kata_data.change_frame(c, t.summary, t.record, t.stubs, t.amendment),
    coalesce(t.erased, nullif(kata_data.change_content_digest(c, t.summary, t.record, t.amendment), '')),
    coalesce((t.summary).salt, (t.record).salt, (t.amendment).salt),
    (select array_agg(s.salt order by s.version) from unnest(t.stubs) s)
  from kata_data.path_changes(entry_digests.context_id, v_low + 1, v_high) c
  cross join lateral (
    select
      (select y from kata_data.summary y where y.segment_id = c.segment_id and y.version = c.version) as summary,
      (select r from kata_data.record r where r.segment_id = c.segment_id and r.version = c.version) as record,
      (select a from kata_data.amendment a where a.change_id = c.change_id) as amendment,
      (select e.content_digest from kata_data.erasure e where e.segment_id = c.segment_id and e.version = c.version) as erased,
      array(select s from kata_data.stub s where s.change_id = c.change_id) as stubs
    offset 0
  ) t
  order by 1;
end
$$;
comment on function kata.entry_digests(uuid, bigint, integer, bigint) is
'Lists what the digests of a context are made of, oldest entry first, inherited entries included.

With the texts that kata.messages, kata.get_message and kata.records return, a program with SHA-256 recomputes every digest. docs/concepts.md
describes the form.

context_id: the context. after: the last version of the previous page; null for the first. max_rows: 1 to 1,000.
at: as of this version; null for now.

Returns rows: version, kind (message, or that of the view change), digest, frame (what the digest covers beside the content), content_digest
(null where the entry has no text of its own), salt (of the text; null after an erasure), stub_salts (of an elision: for each stub in
the frame its salt, null after an erasure; else null).
Errors: KC001, KC002, KC006, KC017. Cost: O(log n + bytes of the entries + fork depth).';
