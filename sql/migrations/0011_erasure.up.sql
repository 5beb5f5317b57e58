-- Erasure: what was removed, by whom, when and why.
--
-- purge has one row per purged context, and one per ancestor purged before of which less is needed since: purge_context and
-- purge_deleted insert it. erasure has one row per blanked message, copies that merges made included: erase_message inserts
-- it, and kata.verify accepts a message without its content only where it has a row. Both are receipts and immutable; only
-- the purge of a context deletes its erasures.
--
-- All three functions run as kata_eraser. They take advisory locks first (one that admits one purge or erasure at a time,
-- those on artifacts and on the family's compactions), then heads by ascending context_id.

create table kata_data.purge (
  purge_id bigint generated always as identity constraint purge_pkey primary key,
  context_id uuid not null constraint purge_context_fkey references kata_data.context,
  cause_id uuid not null constraint purge_cause_fkey references kata_data.context,
  purged_at timestamptz not null,
  purged_by text not null,
  removed bigint not null constraint purge_removed_not_negative check (removed >= 0),
  kept bigint not null constraint purge_kept_not_negative check (kept >= 0)
);
comment on table kata_data.purge is 'The receipts of purges: a row for the context that was purged, and one for every ancestor purged before of which less is needed since. Never changed.';
comment on column kata_data.purge.cause_id is 'The context whose purge this was.';
comment on column kata_data.purge.removed is 'Log entries of the context''s own that went.';
comment on column kata_data.purge.kept is 'Log entries of the context''s own that stay, for the forks that read them.';

-- purges, and the foreign key.
create index purge_context on kata_data.purge (context_id, purge_id);

create table kata_data.erasure (
  segment_id uuid,
  version bigint,
  what text not null constraint erasure_what_known check (what in ('message', 'copy')),
  reason text not null constraint erasure_reason_not_blank check (reason ~ '\S'),
  erased_by text not null,
  erased_at timestamptz not null,
  remains bytea not null,
  constraint erasure_pkey primary key (segment_id, version)
);
comment on table kata_data.erasure is 'The messages that were blanked. Verify accepts a message without its content only where this table has it.';
comment on column kata_data.erasure.what is 'message: erased by its version; copy: a merged copy of one that was.';
comment on column kata_data.erasure.remains is 'SHA-256 over what is left of the message: kata_data.remains_digest.';

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
