-- Digests of view changes: they continue the chain of the messages' digests.

create or replace function kata_data.change_digest(
  previous bytea, segment_id uuid, change kata_data.view_change, summary_digest bytea, stub_digests bytea[]
) returns bytea
language sql stable
as $$
  select sha256(previous || convert_to(concat(
    segment_id, '|', change.version, '|', extract(epoch from change.created_at), '|', change.kind, '|', change.versions, '|',
    change.undone_version, '|', encode(summary_digest, 'hex'), '|',
    (select string_agg(encode(d.digest, 'hex'), ',' order by d.ordinality) from unnest(stub_digests) with ordinality d(digest, ordinality))), 'UTF8'))
$$;
comment on function kata_data.change_digest(bytea, uuid, kata_data.view_change, bytea, bytea[]) is
'SHA-256 over the digest of the previous entry and the framed identity of a view change.

The summary counts with its digest, the stubs with theirs, by version.';

create or replace function kata_data.summary_digest(summary kata_data.summary) returns bytea
language sql stable
as $$
  select case when summary.content is not null then sha256(convert_to(
    jsonb_build_array(summary.role, summary.token_count, summary.token_source, summary.metadata, summary.content)::text, 'UTF8')) end
$$;
comment on function kata_data.summary_digest(kata_data.summary) is 'SHA-256 of a summary; null for none.';
