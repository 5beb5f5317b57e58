-- The chain of acts, with what its digests cover, so that a program without the database recomputes it, as kata.entry_digests does for the
-- log.
-- plans: lookup

create or replace function kata.acts(context_id uuid, after bigint default null, max_rows integer default 100)
returns table (
  number bigint, kind text, acted_at timestamptz, acted_by text, facts jsonb, content jsonb, digest bytea, frame text, content_digest bytea,
  salt bytea
)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
begin
  perform kata_data.open_context(context_id, access => 'any');
  perform kata_data.check_max_rows(max_rows);
  return query
  select a.number, a.kind, a.acted_at, a.acted_by, a.facts, a.content, a.digest, kata_data.act_frame(a), kata_data.act_content_digest(a), a.salt
  from kata_data.act a
  where a.context_id = acts.context_id
    and a.number > coalesce(after, 0)
  order by a.number
  limit max_rows;
end
$$;
comment on function kata.acts(uuid, bigint, integer) is
'Lists the acts of a context, the changes that take no version of its log, oldest first.

Acts are its creation, a new name or policy, a checkpoint made or dropped, the end of a compaction, archiving, deletion and their
reversal, erasure and purge. Metadata are not among them. Each act continues a chain of digests; docs/concepts.md describes the form.

context_id: the context, deleted or purged ones too. after: the last number of the previous page; null for the first. max_rows: 1 to 1,000.

Returns rows: number, kind (create, fork, rename, policy, checkpoint, drop, compaction, archive, unarchive, delete, restore, erase, purge),
acted_at, acted_by (the role), facts (what a removal leaves), content (names, policies, notes, reasons; null for none, and where an erasure
or a purge removed them), digest, frame (what the digest covers beside the content), content_digest (null for an act that never had
content), salt (of the content; null without).
Errors: KC001, KC017. Cost: O(log n + rows).';
