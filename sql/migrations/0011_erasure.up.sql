-- Erasure: receipts of what was removed, with role, time and reason.
--
-- purge has one row per purged context, and one per ancestor purged before of which less is needed since: purge_context and
-- purge_deleted insert it. erasure has one row per redacted message, copies that merges made included: erase_message inserts
-- it, and kata.verify accepts a message without its content only where it has a row. Both are receipts and immutable; only
-- the purge of a context deletes its erasures.
--
-- attachment has one row per context to which something outside of kata_data belongs, such as the checkpoints of a graph: tables
-- of a schema beside ours reference it with ON DELETE CASCADE. The purge of the context deletes the row, and so everything that is attached.
--
-- purge_context and erase_message run as kata_eraser; purge_deleted calls the former. They lock the families first (rows of
-- lineage, which compactions share when they start), then heads by ascending context_id.

create table kata_data.purge (
  purge_id bigint generated always as identity constraint purge_pkey primary key,
  context_id uuid not null constraint purge_context_fkey references kata_data.context,
  cause_id uuid not null constraint purge_cause_fkey references kata_data.context,
  purged_at timestamptz not null,
  purged_by text not null,
  removed bigint not null constraint purge_removed_not_negative check (removed >= 0),
  kept bigint not null constraint purge_kept_not_negative check (kept >= 0)
);
comment on table kata_data.purge is
'One row per purged context, and one per ancestor, purged before, of which less is needed since. Immutable.';
comment on column kata_data.purge.purge_id is 'Its number, ascending.';
comment on column kata_data.purge.context_id is 'The context that lost log entries.';
comment on column kata_data.purge.cause_id is 'The context whose purge this was.';
comment on column kata_data.purge.purged_at is 'The time of the purge.';
comment on column kata_data.purge.purged_by is 'The role that purged.';
comment on column kata_data.purge.removed is 'The number of its own log entries that were removed.';
comment on column kata_data.purge.kept is 'The number of its own log entries that forks still read.';

create index purge_context on kata_data.purge (context_id, purge_id);
comment on index kata_data.purge_context is 'kata.purges; the foreign key.';

create table kata_data.erasure (
  segment_id uuid,
  version bigint,
  what text not null constraint erasure_what_known check (what in ('message', 'copy', 'amendment')),
  reason text not null constraint erasure_reason_not_blank check (reason ~ E'\\S'),
  erased_by text not null,
  erased_at timestamptz not null,
  content_digest bytea not null constraint erasure_content_digest_has_32_bytes check (octet_length(content_digest) = 32),
  act_context_id uuid not null,
  act_number bigint not null,
  constraint erasure_pkey primary key (segment_id, version)
);
comment on table kata_data.erasure is
'One row per redacted message. Immutable. kata.verify accepts a message without its content only if it has a row here.';
comment on column kata_data.erasure.segment_id is 'With version: the message.';
comment on column kata_data.erasure.version is 'The version of the message.';
comment on column kata_data.erasure.what is
'message: erased by its version; copy: a merged copy of an erased message; amendment: words that an
amendment showed for it.';
comment on column kata_data.erasure.reason is 'The reason that the caller gave.';
comment on column kata_data.erasure.erased_by is 'The role that erased.';
comment on column kata_data.erasure.erased_at is 'The time of the erasure.';
comment on column kata_data.erasure.content_digest is
'SHA-256 over the salt and the content that the message had: its digest can still be recomputed, its content not be guessed.';
comment on column kata_data.erasure.act_context_id is
'With act_number: the act of the erasure, in the context through which it was asked for. No foreign key: a copy may be another''s.';
comment on column kata_data.erasure.act_number is 'The number of that act.';

-- Statistics would keep what an erasure or a purge removes, also after VACUUM. Look-ups are by whole keys and need none.
alter table kata_data.erasure
  alter column reason set statistics 0,
  alter column content_digest set statistics 0;

create table kata_data.attachment (
  context_id uuid constraint attachment_pkey primary key constraint attachment_context_fkey references kata_data.context
);
comment on table kata_data.attachment is
'One row per context that tables of other schemas reference, by ON DELETE CASCADE. Its purge deletes the row.';
comment on column kata_data.attachment.context_id is 'The context.';

create type kata_data.concerned_entry as (
  segment_id uuid,
  version bigint,
  what text
);
comment on type kata_data.concerned_entry is
'An entry that an erasure concerns; what: message, copy, amendment (all redacted), original or summary (both only named).';

create trigger purge_is_immutable before update or delete on kata_data.purge
  for each row execute function kata_data.refuse_change();
create trigger purge_is_immutable_as_a_whole before update or delete or truncate on kata_data.purge
  for each statement execute function kata_data.refuse_change();
create trigger erasure_is_immutable before update or delete on kata_data.erasure
  for each row execute function kata_data.refuse_change();
create trigger erasure_is_immutable_as_a_whole before update or delete or truncate on kata_data.erasure
  for each statement execute function kata_data.refuse_change();
alter table kata_data.purge enable always trigger purge_is_immutable;
alter table kata_data.purge enable always trigger purge_is_immutable_as_a_whole;
alter table kata_data.erasure enable always trigger erasure_is_immutable;
alter table kata_data.erasure enable always trigger erasure_is_immutable_as_a_whole;

grant select, insert on kata_data.purge to kata_eraser;
grant select, insert, delete on kata_data.erasure to kata_eraser;
grant select, delete on kata_data.attachment to kata_eraser;
