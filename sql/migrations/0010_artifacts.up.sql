-- Artifacts: the tools, files, URLs and identifiers that messages mention, by version.
--
-- artifact has one row per artifact of a segment, artifact_mention one row per artifact and message that names it,
-- artifact_mark one row per segment that was parsed. All three are derived from the log when a compaction begins, each
-- message parsed once, so they cost an append nothing; readers parse what lies above the mark themselves. A row lock
-- per segment admits one parser: a second one skips the segment, while erasures and purges wait for it, before they lock any
-- head. added_artifact has one row per artifact that a caller added and version that it belongs to; add_artifact writes it,
-- and nothing derives it again.
--
-- Invariants: artifact is the sum of its mentions up to the mark; the mark only moves on.

create table kata_data.artifact_mark (
  segment_id uuid constraint artifact_mark_pkey primary key,
  parsed_through bigint not null
);
comment on table kata_data.artifact_mark is 'One row per segment that was parsed for artifacts, and how far; no row: not yet.';
comment on column kata_data.artifact_mark.segment_id is 'The segment.';
comment on column kata_data.artifact_mark.parsed_through is 'The last version that was parsed.';

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
-- Parsing updates the artifacts that messages mention again: free space keeps these updates on the page.
with (fillfactor = 80);
comment on table kata_data.artifact is 'One row per artifact of a segment: the sum of its rows in artifact_mention.';
comment on column kata_data.artifact.artifact_id is 'Its number in artifact_mention.';
comment on column kata_data.artifact.segment_id is 'The segment.';
comment on column kata_data.artifact.kind is 'tool_call, file, url or id.';
comment on column kata_data.artifact.ref is 'The name of the tool, the path, the URL, the identifier.';
comment on column kata_data.artifact.first_version is 'The first version that mentions it.';
comment on column kata_data.artifact.last_version is 'The last version that mentions it.';
comment on column kata_data.artifact.mentions is 'The number of calls of a tool; otherwise of messages that name the artifact.';
comment on column kata_data.artifact.detail_version is 'The version whose detail counts: of a file its last change, else the last that read it; null if there is none.';
comment on column kata_data.artifact.detail is 'A JSON object: what that version adds to the ref.';

-- Statistics would keep what an erasure or a purge removes, also after VACUUM. Look-ups are by whole keys and need none.
alter table kata_data.artifact
  alter column kind set statistics 0,
  alter column ref set statistics 0,
  alter column detail set statistics 0;

create table kata_data.artifact_mention (
  artifact_id bigint,
  version bigint,
  mentions bigint not null,
  mentions_through bigint not null,
  detail_version bigint,
  detail jsonb,
  constraint artifact_mention_pkey primary key (artifact_id, version)
);
comment on table kata_data.artifact_mention is
'One row per artifact and message that mentions it, with the running state of the artifact: one look-up yields it as of any version.
No foreign key: checking it costs as much as finding the row. kata.verify looks for orphans.';
comment on column kata_data.artifact_mention.artifact_id is 'The artifact.';
comment on column kata_data.artifact_mention.version is 'The version of the message.';
comment on column kata_data.artifact_mention.mentions is 'The mentions in this message.';
comment on column kata_data.artifact_mention.mentions_through is 'The mentions in the segment up to and including this version.';
comment on column kata_data.artifact_mention.detail_version is 'The version up to this one whose detail counts, as in artifact; null if there is none.';
comment on column kata_data.artifact_mention.detail is 'The detail of this message; null if it only names the artifact.';

alter table kata_data.artifact_mention
  alter column detail set statistics 0;

create table kata_data.added_artifact (
  segment_id uuid,
  kind text,
  ref text,
  version bigint,
  detail jsonb,
  constraint added_artifact_pkey primary key (segment_id, kind, ref, version)
);
comment on table kata_data.added_artifact is 'One row per artifact that a caller added, and version that it belongs to.';
comment on column kata_data.added_artifact.segment_id is 'The context that it was added to.';
comment on column kata_data.added_artifact.kind is 'The kind that the caller gave.';
comment on column kata_data.added_artifact.ref is 'The name of the artifact.';
comment on column kata_data.added_artifact.version is 'The version of the path that it belongs to; it may be inherited.';
comment on column kata_data.added_artifact.detail is 'A JSON value of the caller.';

alter table kata_data.added_artifact
  alter column kind set statistics 0,
  alter column ref set statistics 0,
  alter column detail set statistics 0;

-- An erasure and a purge remove the artifacts of their messages.
grant select, update, delete on
  kata_data.artifact_mark, kata_data.artifact, kata_data.artifact_mention, kata_data.added_artifact
to kata_eraser;
