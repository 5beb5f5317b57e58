-- Forks and time: checkpoints, and where merged messages came from.

create table kata_data.checkpoint (
  context_id uuid constraint checkpoint_context_fkey references kata_data.context,
  name text constraint checkpoint_name_length check (length(name) between 1 and 255),
  version bigint not null constraint checkpoint_version_not_negative check (version >= 0),
  note text,
  created_at timestamptz not null,
  constraint checkpoint_pkey primary key (context_id, name)
);
comment on table kata_data.checkpoint is 'Names of versions. Forks see those of their ancestors up to the fork; nothing is copied.';

-- history: the checkpoints of a page.
create index checkpoint_version on kata_data.checkpoint (context_id, version);

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

-- merge: has the target a copy of this message already? erase_message: the copies of a message.
create index merge_origin_origin on kata_data.merge_origin (origin_segment_id, origin_version);

create trigger merge_origin_is_immutable before update or delete on kata_data.merge_origin
  for each row execute function kata_data.refuse_change();
create trigger merge_origin_is_immutable_as_a_whole before update or delete or truncate on kata_data.merge_origin
  for each statement execute function kata_data.refuse_change();
alter table kata_data.merge_origin enable always trigger merge_origin_is_immutable;
alter table kata_data.merge_origin enable always trigger merge_origin_is_immutable_as_a_whole;
