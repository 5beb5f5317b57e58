-- Digests of view changes. They continue the chain of the messages' digests, in the same form: see internal/log/message_digest.sql. The frame is
-- what an erasure leaves, the content its text: that of a summary or an amendment, or the data of a record. The digest of a stub is part of the frame.

create or replace function kata_data.change_frame(
  change kata_data.view_change, summary kata_data.summary, record kata_data.record, stubs kata_data.stub[], amendment kata_data.amendment
) returns text
language sql stable
as $$
  select format('1|%s|%s|%s|%s|%s',
    change.kind, change.segment_id, change.version, (extract(epoch from change.created_at) * 1000000)::bigint,
    jsonb_strip_nulls(jsonb_build_object(
      'versions', change.versions::text,
      'undone_version', change.undone_version,
      'rewound_to', change.rewound_to,
      'preamble_end', change.preamble_end,
      'oldest_open_group', change.oldest_open_group,
      'turn_version', change.turn_version,
      'summary', case when summary.role is not null then jsonb_build_object(
        'role', summary.role, 'token_count', summary.token_count, 'token_source', summary.token_source) end,
      'record', case when record.kind is not null then jsonb_build_object('kind', record.kind, 'external_id', record.external_id) end,
      'amendment', case when amendment.version is not null then jsonb_build_object(
        'token_count', amendment.token_count, 'token_source', amendment.token_source, 'base', case
          when amendment.base_change_id is not null
            then coalesce((select b.version from kata_data.view_change b where b.change_id = amendment.base_change_id), 0)
        end) end,
      'tools', case when change.kind = 'tools' and change.tools_digest is not null then jsonb_build_object(
        'digest', encode(change.tools_digest, 'hex'), 'token_count', change.tools_tokens) end,
      'stubs', (
        select jsonb_agg(jsonb_build_array(s.version, s.token_count, encode(s.digest, 'hex')) order by s.version) from unnest(stubs) s))))
$$;
comment on function kata_data.change_frame(
  kata_data.view_change, kata_data.summary, kata_data.record, kata_data.stub[], kata_data.amendment) is
'What the digest of a view change covers beside its content. created_at counts in microseconds.

A field without a value is left out, so a field that comes later changes no old digest.';

create or replace function kata_data.change_content_digest(
  change kata_data.view_change, summary kata_data.summary, record kata_data.record, amendment kata_data.amendment
) returns bytea
language sql stable
as $$
  select case
    when change.kind = 'record' then kata_data.record_digest(record)
    when change.kind = 'amendment' then kata_data.amendment_digest(amendment)
    when change.is_summarized then kata_data.summary_digest(summary)
    else ''
  end
$$;
comment on function kata_data.change_content_digest(
  kata_data.view_change, kata_data.summary, kata_data.record, kata_data.amendment) is
'The content digest of a view change; empty where it has no text of its own, null where the text was erased.';

create or replace function kata_data.summary_digest(summary kata_data.summary) returns bytea
language sql stable
as $$
  select kata_data.content_digest(summary.salt, kata_data.message_content(
    summary.content, null, null, null, null, null, summary.metadata))
$$;
comment on function kata_data.summary_digest(kata_data.summary) is
'The content digest of a summary, made as that of a message; null of an erased one.';

create or replace function kata_data.record_digest(record kata_data.record) returns bytea
language sql stable
as $$
  select kata_data.content_digest(record.salt, record.data::text)
$$;
comment on function kata_data.record_digest(kata_data.record) is 'The content digest of a record; null of an erased one.';

create or replace function kata_data.amendment_digest(amendment kata_data.amendment) returns bytea
language sql stable
as $$
  select kata_data.content_digest(amendment.salt, kata_data.message_content(
    amendment.content, amendment.name, null, amendment.tool_calls, amendment.parts, amendment.provider, amendment.metadata))
$$;
comment on function kata_data.amendment_digest(kata_data.amendment) is
'The content digest of an amendment, made as that of a message without a model; null of an erased one.';
