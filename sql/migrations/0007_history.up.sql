-- History: names for versions.
--
-- checkpoint has one row per named version of a context. checkpoint and drop_checkpoint write it under the lock of the head.
-- A fork sees the checkpoints of its ancestors up to the fork by way of lineage; nothing is copied. A purge deletes those of
-- removed versions.

create table kata_data.checkpoint (
  context_id uuid constraint checkpoint_context_fkey references kata_data.context,
  name text constraint checkpoint_name_length check (length(name) between 1 and 255),
  version bigint not null constraint checkpoint_version_not_negative check (version >= 0),
  note text,
  created_at timestamptz not null,
  constraint checkpoint_pkey primary key (context_id, name)
);
comment on table kata_data.checkpoint is
'One row per named version of a context. Forks see the checkpoints of their ancestors up to the fork; nothing is copied.';
comment on column kata_data.checkpoint.context_id is 'The context that it was set on.';
comment on column kata_data.checkpoint.name is 'A name that is unique within the context.';
comment on column kata_data.checkpoint.version is 'The version that it names; 0 for the empty context.';
comment on column kata_data.checkpoint.note is 'A remark by the caller.';
comment on column kata_data.checkpoint.created_at is 'The time when it was set.';

-- Statistics would keep what an erasure or a purge removes, also after VACUUM. Look-ups are by whole keys and need none.
alter table kata_data.checkpoint
  alter column name set statistics 0,
  alter column note set statistics 0;

create index checkpoint_version on kata_data.checkpoint (context_id, version);
comment on index kata_data.checkpoint_version is 'kata.history: the checkpoints of a page.';

grant select, delete on kata_data.checkpoint to kata_eraser;
