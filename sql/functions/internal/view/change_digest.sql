-- Digests of view changes: they continue the chain of the messages' digests. The frame leaves out fields that are null, so a field that a
-- later version adds changes no digest of before.

create or replace function kata_data.change_digest(
  previous bytea, segment_id uuid, change kata_data.view_change, summary_digest bytea, stub_digests bytea[], record_digest bytea
) returns bytea
language sql stable
as $$
  select sha256(previous || convert_to(jsonb_strip_nulls(jsonb_build_object(
    'segment', segment_id,
    'version', change.version,
    'created_at', (extract(epoch from change.created_at) * 1000000)::bigint,
    'kind', change.kind,
    'versions', change.versions::text,
    'undone_version', change.undone_version,
    'preamble_end', change.preamble_end,
    'oldest_open_group', change.oldest_open_group,
    'turn_version', change.turn_version,
    'summary', encode(summary_digest, 'hex'),
    'record', encode(record_digest, 'hex'),
    'stubs', (
      select string_agg(encode(d.digest, 'hex'), ',' order by d.ordinality) from unnest(stub_digests) with ordinality d(digest, ordinality))
  ))::text, 'UTF8'))
$$;
comment on function kata_data.change_digest(bytea, uuid, kata_data.view_change, bytea, bytea[], bytea) is
'SHA-256 over the digest of the previous entry and the frame of a view change: a JSON object, as Postgres prints it.

created_at is in microseconds. The summary counts and a record count with their digests, the stubs with theirs, by version.';

create or replace function kata_data.summary_digest(summary kata_data.summary) returns bytea
language sql stable
as $$
  select case when summary.content is not null then kata_data.content_digest(summary.salt,
    jsonb_build_array(summary.role, summary.token_count, summary.token_source, summary.metadata, summary.content)::text) end
$$;
comment on function kata_data.summary_digest(kata_data.summary) is 'SHA-256 over the salt of a summary and the summary; null for none.';

create or replace function kata_data.record_digest(kind text, external_id text, salt bytea, data jsonb) returns bytea
language sql stable
as $$
  select kata_data.content_digest(salt, jsonb_build_array(kind, external_id, data)::text)
$$;
comment on function kata_data.record_digest(text, text, bytea, jsonb) is 'SHA-256 over the salt of a record and the record.';
