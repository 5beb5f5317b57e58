-- Forks: whose rows a context reads, and where merged messages come from.
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
comment on table kata_data.lineage is 'Which segment (a context''s own rows) holds which versions of a context''s path; the last segment is its own and open-ended.';

create table kata_data.merge_origin (
  segment_id uuid,
  version bigint,
  source_segment_id uuid not null,
  source_version bigint not null,
  origin_segment_id uuid not null,
  origin_version bigint not null,
  constraint merge_origin_pkey primary key (segment_id, version)
);
comment on table kata_data.merge_origin is 'Of every message that a merge has appended: the message that it is a copy of (source), and the one that all copies go back to (origin), which differ where a copy was copied. No foreign keys: what was copied may be purged.';

-- merge: does the target have a copy of this message already? erase_message: the copies of a message.
create index merge_origin_origin on kata_data.merge_origin (origin_segment_id, origin_version);

create trigger merge_origin_is_immutable before update or delete on kata_data.merge_origin
  for each row execute function kata_data.refuse_change();
create trigger merge_origin_is_immutable_as_a_whole before update or delete or truncate on kata_data.merge_origin
  for each statement execute function kata_data.refuse_change();
alter table kata_data.merge_origin enable always trigger merge_origin_is_immutable;
alter table kata_data.merge_origin enable always trigger merge_origin_is_immutable_as_a_whole;

grant select on kata_data.lineage to kata_eraser;
grant select, delete on kata_data.merge_origin to kata_eraser;
