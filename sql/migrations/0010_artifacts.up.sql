-- Artifacts: which tools, files, URLs and identifiers a segment's messages name, and in which versions.
--
-- artifact has one row per artifact of a segment, artifact_mention one row per artifact and message that names it,
-- artifact_mark one row per segment that was parsed. All three are derived from the log when a compaction begins, each
-- message parsed once, so they cost an append nothing; readers parse what lies above the mark themselves. An advisory lock
-- per segment admits one parser: a second one skips the segment, while erasures and purges wait for it, before they lock any
-- head. added_artifact has one row per artifact that a caller added and version that it belongs to; add_artifact writes it,
-- and nothing derives it again.
--
-- Invariants: artifact is the sum of its mentions up to the mark; the mark only moves on.

create table kata_data.artifact_mark (
  segment_id uuid constraint artifact_mark_pkey primary key,
  parsed_through bigint not null
);
comment on table kata_data.artifact_mark is 'Up to which version the messages of a segment have been parsed for artifacts. No row: none yet.';

create table kata_data.artifact (
  artifact_id bigint constraint artifact_id_generated generated always as identity constraint artifact_pkey primary key,
  segment_id uuid not null,
  kind text not null,
  ref text not null,
  first_version bigint not null,
  last_version bigint not null,
  mentions bigint not null,
  detail_version bigint,
  detail jsonb,
  constraint artifact_ref_unique unique (segment_id, kind, ref)
)
-- A chunk of messages updates what it mentions again: room keeps these updates on the page.
with (fillfactor = 80);
comment on table kata_data.artifact is 'An artifact of a segment as of its mark: the sum of its rows in artifact_mention.';
comment on column kata_data.artifact.kind is 'tool_call, file, url or id.';
comment on column kata_data.artifact.ref is 'The name of the tool, the path, the address, the identifier.';
comment on column kata_data.artifact.mentions is 'Calls of a tool; else messages that name the artifact.';
comment on column kata_data.artifact.detail_version is 'The newest version that told more than the ref; null where none did.';
comment on column kata_data.artifact.detail is 'What that version told.';

create table kata_data.artifact_mention (
  artifact_id bigint,
  version bigint,
  mentions bigint not null,
  mentions_through bigint not null,
  detail_version bigint,
  detail jsonb,
  constraint artifact_mention_pkey primary key (artifact_id, version)
);
-- No foreign key: checking it would cost as much as finding the row did. kata.verify looks for orphans.
comment on table kata_data.artifact_mention is 'A message that names an artifact, with the running state of the artifact: an index look-up tells it as of any version.';
comment on column kata_data.artifact_mention.mentions_through is 'Mentions in the segment up to and including this version.';
comment on column kata_data.artifact_mention.detail_version is 'The newest version up to this one that told more than the ref; null where none did.';
comment on column kata_data.artifact_mention.detail is 'What this message told; null where it only named the artifact.';

create table kata_data.added_artifact (
  segment_id uuid,
  kind text,
  ref text,
  version bigint,
  detail jsonb,
  constraint added_artifact_pkey primary key (segment_id, kind, ref, version)
);
comment on table kata_data.added_artifact is 'Artifacts that callers added: by context (segment_id) and the version of its path that they belong to, inherited ones included.';

-- kata_eraser removes what was derived from an erased or purged message.
grant select, update, delete on kata_data.artifact_mark, kata_data.artifact, kata_data.artifact_mention, kata_data.added_artifact to kata_eraser;
