-- History: names for versions, and the acts that change a context without an entry of its log.
--
-- checkpoint has one row per named version of a context. checkpoint and drop_checkpoint write it under the lock of the head.
-- A fork sees the checkpoints of its ancestors up to the fork by way of lineage; nothing is copied. A purge deletes those of
-- removed versions.
--
-- act has one row per change of a context that takes no version: its creation, a new name or policy, a checkpoint made or
-- dropped, the end of a compaction, archiving, deletion and their reversal, erasure and purge. kata_data.add_act writes it in the
-- transaction of the change, under the lock of the head. The rows of a context are a chain of digests, as its entries are. They
-- are immutable and never deleted: an erasure or a purge removes content and salt, and the digest of the content stays.
--
-- Invariants: numbers are dense from 1, which is the creation; what the acts say and what the tables say now agree. No append
-- reads or writes act, and head holds nothing of it: the newest act is one look-up.

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

create table kata_data.act (
  context_id uuid,
  number bigint constraint act_number_positive check (number > 0),
  acted_at timestamptz not null,
  kind text not null constraint act_kind_known check (kind in (
    'create', 'fork', 'rename', 'policy', 'checkpoint', 'drop', 'compaction', 'archive', 'unarchive', 'delete', 'restore', 'erase', 'purge')),
  acted_by text not null,
  digest bytea not null,
  facts jsonb not null,
  salt bytea,
  content jsonb,
  content_digest bytea,
  act_context_id uuid,
  act_number bigint,
  constraint act_pkey primary key (context_id, number),
  constraint act_removal_is_whole check (
    num_nonnulls(content_digest, act_context_id, act_number) in (0, 3) and num_nonnulls(salt, content) in (0, 2)
    and (content is null or content_digest is null))
);
comment on table kata_data.act is
'One row per change of a context that takes no version. Immutable, except that kata_eraser removes content and salt.';
comment on column kata_data.act.context_id is 'The context. No foreign key: it would lock that row at every act.';
comment on column kata_data.act.number is 'Its place among the acts of the context: 1, 2, 3 …';
comment on column kata_data.act.acted_at is 'The time of the change.';
comment on column kata_data.act.kind is
'create, fork, rename, policy, checkpoint, drop (of a checkpoint), compaction (its end), archive, unarchive, delete, restore, erase or
purge.';
comment on column kata_data.act.acted_by is 'The role that made the change.';
comment on column kata_data.act.digest is 'SHA-256 over the digest of the act before it and this act: kata_data.entry_digest.';
comment on column kata_data.act.facts is 'What an erasure or a purge leaves: versions, ids, counts, digests. No text of a user.';
comment on column kata_data.act.salt is '16 random bytes that the digest of the content begins with; null without content.';
comment on column kata_data.act.content is
'What an erasure or a purge removes: names, policies, notes, reasons. Null for an act without any, and after a removal.';
comment on column kata_data.act.content_digest is
'SHA-256 over the salt and the content that were removed: the digest can still be recomputed. Null for others.';
comment on column kata_data.act.act_context_id is 'With act_number: the erasure or purge that removed the content; null for others.';
comment on column kata_data.act.act_number is 'The number of that act.';
comment on constraint act_removal_is_whole on kata_data.act is
'Content has a salt. Content that was removed has a digest and the act that removed it, and else neither is there.';

alter table kata_data.act
  alter column digest set statistics 0,
  alter column facts set statistics 0,
  alter column salt set statistics 0,
  alter column content set statistics 0,
  alter column content_digest set statistics 0;

create trigger act_is_immutable before update or delete on kata_data.act
  for each row execute function kata_data.refuse_change();
create trigger act_is_immutable_as_a_whole before update or delete or truncate on kata_data.act
  for each statement execute function kata_data.refuse_change();
alter table kata_data.act enable always trigger act_is_immutable;
alter table kata_data.act enable always trigger act_is_immutable_as_a_whole;

grant update (note) on kata_data.checkpoint to kata_eraser;
grant select, insert, update (salt, content, content_digest, act_context_id, act_number) on kata_data.act to kata_eraser;
