-- Forks: the segments that a context reads, and the origin of merged messages.
--
-- lineage has one row per segment of a context's path: its ancestors' up to the fork, and its own, open-ended. create_context
-- and fork write it once; it never changes, not even when an ancestor is purged. A reader clips the versions that it wants to
-- these ranges and scans each segment by its primary key, so a fork costs O(depth) and copies no message.
--
-- merge_origin has one row per message that a merge appended. merge writes it in the transaction of the append; it is
-- immutable, and deleted only when its message is purged. It lets a second merge skip what has arrived already, and
-- erase_message find all copies.

create table kata_data.lineage (
  context_id uuid constraint lineage_context_fkey references kata_data.context,
  first_version bigint,
  last_version bigint not null default 9223372036854775807,
  segment_id uuid not null constraint lineage_segment_fkey references kata_data.context,
  constraint lineage_pkey primary key (context_id, first_version),
  constraint lineage_range_not_empty check (first_version between 1 and last_version)
);
comment on table kata_data.lineage is
'One row per segment of the path of a context: which context wrote which of its versions. Never changed.';
comment on column kata_data.lineage.context_id is 'The context whose path it is.';
comment on column kata_data.lineage.first_version is 'The first version that is read from the segment.';
comment on column kata_data.lineage.last_version is 'The last one; the greatest bigint for the own segment, which is open-ended.';
comment on column kata_data.lineage.segment_id is 'The context that wrote these versions: an ancestor, or the context itself.';

-- Rows of ancestors only: a context that is not a fork adds nothing to it.
create index lineage_readers on kata_data.lineage (segment_id, last_version) where segment_id <> context_id;
comment on index kata_data.lineage_readers is 'kata.pending_embeddings: the fork that reads most of a segment whose context is deleted.';

create table kata_data.merge_origin (
  segment_id uuid,
  version bigint,
  source_segment_id uuid not null,
  source_version bigint not null,
  origin_segment_id uuid not null,
  origin_version bigint not null,
  amendment_segment_id uuid,
  amendment_version bigint,
  constraint merge_origin_pkey primary key (segment_id, version)
);
comment on table kata_data.merge_origin is
'One row per message that a merge appended. Immutable. No foreign keys: the message that was copied may be purged.';
comment on column kata_data.merge_origin.segment_id is 'With version: the copy.';
comment on column kata_data.merge_origin.version is 'The version of the copy.';
comment on column kata_data.merge_origin.source_segment_id is 'With source_version: the message that was copied.';
comment on column kata_data.merge_origin.source_version is 'The version of that message.';
comment on column kata_data.merge_origin.origin_segment_id is
'With origin_version: the message that all copies go back to. It differs from the source if that is a copy, too.';
comment on column kata_data.merge_origin.origin_version is 'The version of that message.';
comment on column kata_data.merge_origin.amendment_segment_id is
'With amendment_version: the amendment whose words the copy has; null where it has those of the message.';
comment on column kata_data.merge_origin.amendment_version is 'The version of that amendment.';

create index merge_origin_origin on kata_data.merge_origin (origin_segment_id, origin_version);
comment on index kata_data.merge_origin_origin is
'kata.merge: whether the target has a copy of a message. kata.erase_message: all copies of a message.';

create trigger merge_origin_is_immutable before update or delete on kata_data.merge_origin
  for each row execute function kata_data.refuse_change();
create trigger merge_origin_is_immutable_as_a_whole before update or delete or truncate on kata_data.merge_origin
  for each statement execute function kata_data.refuse_change();
alter table kata_data.merge_origin enable always trigger merge_origin_is_immutable;
alter table kata_data.merge_origin enable always trigger merge_origin_is_immutable_as_a_whole;

grant select on kata_data.lineage to kata_eraser;
-- For row locks: removals lock the row in which the root of a family reads itself.
grant update (context_id) on kata_data.lineage to kata_eraser;
grant select, delete on kata_data.merge_origin to kata_eraser;
