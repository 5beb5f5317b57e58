-- Purging and erasing: what went, who let it go, when and why. kata_eraser alone may change history; here it gets the tables that it
-- changes.

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

-- purges.
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
alter table kata_data.purge enable always trigger purge_is_immutable;
alter table kata_data.purge enable always trigger purge_is_immutable_as_a_whole;
create trigger erasure_is_immutable before update or delete on kata_data.erasure
  for each row execute function kata_data.refuse_change();
create trigger erasure_is_immutable_as_a_whole before update or delete or truncate on kata_data.erasure
  for each statement execute function kata_data.refuse_change();
alter table kata_data.erasure enable always trigger erasure_is_immutable;
alter table kata_data.erasure enable always trigger erasure_is_immutable_as_a_whole;

-- purge_deleted: what was deleted longest ago.
create index context_deleted on kata_data.context (deleted_at) where deleted_at is not null and purged_at is null;

-- No more than what is blanked.
grant select, update (name, metadata, policy, purged_at, updated_at) on kata_data.context to kata_eraser;
grant select, update (is_strict, notifies, due_at, due_tokens, due_messages, open_calls, open_groups, oldest_open_group) on kata_data.head to kata_eraser;
grant select, update (content, name, model, tool_calls, parts, provider, metadata), delete on kata_data.message to kata_eraser;
grant select on kata_data.lineage, kata_data.tenant_role to kata_eraser;
grant select, delete on kata_data.token_count, kata_data.idempotency, kata_data.checkpoint, kata_data.merge_origin to kata_eraser;
grant select, insert on kata_data.purge to kata_eraser;
grant select, insert, delete on kata_data.erasure to kata_eraser;
