-- Contexts: identity and state.
--
-- context has one row per context, written when it is created, forked, renamed, given a policy, archived, deleted, restored
-- or purged; no row is ever removed. head has one row per context, too: the counters, totals and open calls that every append
-- moves. They are two tables so that an append updates one narrow row and leaves the wide one and its indexes alone.
--
-- The head row is the lock of its context. A function that changes a context locks the head first (FOR NO KEY UPDATE), then
-- reads what its decision rests on; the context row changes under the same lock. A function that only needs the context to
-- stay (a fork of it, a merge from it, an artifact added to it) takes FOR KEY SHARE, a purge FOR UPDATE. Several heads are
-- locked by ascending context_id. Readers lock nothing: a call is one snapshot.
--
-- Invariants: a name is unique among the contexts of a tenant that are not deleted; a root is its own family and a fork is in
-- the family of its parent; tenant and tokenizer never change, so the copies in head stay true.

create table kata_data.context (
  context_id uuid constraint context_pkey primary key,
  tenant text not null constraint context_tenant_is_one check (tenant <> '' and tenant <> '*'),
  name text collate "C" constraint context_name_length check (length(name) between 1 and 255),
  family_id uuid not null,
  parent_id uuid constraint context_parent_fkey references kata_data.context,
  fork_version bigint constraint context_fork_version_positive check (fork_version >= 0),
  depth integer not null default 0,
  tokenizer text not null constraint context_tokenizer_fkey references kata_data.tokenizer,
  policy jsonb not null default '{}',
  metadata jsonb not null default '{}' constraint context_metadata_is_object check (jsonb_typeof(metadata) = 'object'),
  created_at timestamptz not null,
  updated_at timestamptz not null,
  archived_at timestamptz,
  deleted_at timestamptz,
  purged_at timestamptz,
  constraint context_fork_is_whole check (
    (parent_id is null and fork_version is null and depth = 0 and family_id = context_id)
    or (parent_id is not null and fork_version is not null and depth > 0 and family_id <> context_id)),
  constraint context_purged_is_deleted check (purged_at is null or deleted_at is not null)
);
comment on table kata_data.context is
'One row per context: identity, name, policy and state. The columns that an append changes are in head.';
comment on column kata_data.context.context_id is 'A UUID in the layout of version 7: ids sort by time of creation.';
comment on column kata_data.context.tenant is 'The tenant that owns the context; it never changes.';
comment on column kata_data.context.name is 'A name for people; null for a context without one. Its collation makes the names with a prefix a range of the index.';
comment on column kata_data.context.family_id is 'The root of the fork family; a root names itself.';
comment on column kata_data.context.parent_id is 'The context that it was forked from; null for a root.';
comment on column kata_data.context.fork_version is 'The last version that it shares with its parent; null for a root.';
comment on column kata_data.context.depth is 'The number of forks between it and the root.';
comment on column kata_data.context.tokenizer is 'The tokenizer that its totals and budgets count in; it never changes.';
comment on column kata_data.context.policy is 'The fields of its compaction policy that differ from the defaults.';
comment on column kata_data.context.metadata is 'A JSON object that callers set and only they read.';
comment on column kata_data.context.created_at is 'The time of its creation.';
comment on column kata_data.context.updated_at is 'The time of the last change of name, policy, metadata or state.';
comment on column kata_data.context.archived_at is 'The time when it was archived; null if it is not.';
comment on column kata_data.context.deleted_at is 'The time when it was deleted; null if it is not. Until it is purged it can be restored.';
comment on column kata_data.context.purged_at is 'The time when its content was removed; null if it was not.';

-- Statistics would keep what an erasure or a purge removes, also after VACUUM. Look-ups are by whole keys and need none.
alter table kata_data.context
  alter column name set statistics 0,
  alter column policy set statistics 0,
  alter column metadata set statistics 0;
comment on constraint context_tenant_is_one on kata_data.context is
'In the setting kata.tenant ''*'' means all tenants, so no tenant has that name.';
comment on constraint context_fork_is_whole on kata_data.context is
'A root has no parent and is its own family; a fork has parent, fork version and depth, and another family.';
comment on constraint context_purged_is_deleted on kata_data.context is 'Only a deleted context is purged.';

create unique index context_live_name on kata_data.context (tenant, name) where deleted_at is null and name is not null;
comment on index kata_data.context_live_name is 'kata.find_context, kata.list_contexts by a prefix; a name is unique among the contexts of a tenant that are not deleted.';
create index context_live on kata_data.context (tenant, context_id) where deleted_at is null;
comment on index kata_data.context_live is 'kata.list_contexts without the deleted ones.';
create index context_all on kata_data.context (tenant, context_id);
comment on index kata_data.context_all is 'kata.list_contexts with the deleted ones.';
create index context_deleted_name on kata_data.context (tenant, name, context_id) where deleted_at is not null and name is not null;
comment on index kata_data.context_deleted_name is 'kata.resolve_context, kata.list_contexts by a prefix: deleted contexts by the name that they had.';
create index context_parent on kata_data.context (parent_id, fork_version) where parent_id is not null;
comment on index kata_data.context_parent is 'kata.forks; the foreign key.';
create index context_family on kata_data.context (family_id) where parent_id is not null;
comment on index kata_data.context_family is 'kata.tree.';
create index context_deleted on kata_data.context (deleted_at) where deleted_at is not null and purged_at is null;
comment on index kata_data.context_deleted is 'kata.purge_deleted for all tenants: the contexts that were deleted first.';
create index context_deleted_of_tenant on kata_data.context (tenant, deleted_at) where deleted_at is not null and purged_at is null;
comment on index kata_data.context_deleted_of_tenant is 'kata.purge_deleted: of a tenant, the contexts that were deleted first.';
-- By created_at, which never changes, and not by the time of the last change: a change of the policy or of metadata stays HOT.
create index context_open_fork on kata_data.context (tenant, created_at)
  where parent_id is not null and deleted_at is null and archived_at is null;
comment on index kata_data.context_open_fork is 'kata.archive_inactive: the forks that are old enough to be idle.';

-- Defense in depth: row-level security, forced so that it binds the owner, too. The policy is a function file, row_security.sql;
-- without it no row is visible. head has none: it holds no text, and a second check would cost every append.
alter table kata_data.context enable row level security;
alter table kata_data.context force row level security;

create table kata_data.head (
  context_id uuid constraint head_pkey primary key constraint head_context_fkey references kata_data.context,
  tenant text not null,
  tokenizer text not null,
  version bigint not null default 0,
  message_count bigint not null default 0,
  raw_tokens bigint not null default 0,
  view_tokens bigint not null default 0,
  content_version bigint not null default 0,
  preamble_end bigint,
  last_at timestamptz not null default '-infinity',
  due_at timestamptz,
  closed boolean not null default false,
  is_strict boolean not null default true,
  notifies boolean not null default false,
  summarizes boolean not null default true,
  last_digest bytea not null,
  open_calls jsonb not null default '{}',
  open_groups jsonb not null default '{}',
  oldest_open_group bigint,
  turn_version bigint,
  framed_request bigint,
  has_older_preamble boolean not null default false,
  view_version bigint,
  due_tokens bigint,
  due_messages bigint
)
-- Every append updates this row: room for the new version on its page, and no index on a column that an append changes, keep
-- the update HOT. No CHECK either, here and on message: Postgres parses them anew for every statement, a tenth of the time of an
-- append. The append path enforces what they would say, and kata.verify checks it.
with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
comment on table kata_data.head is
'One row per context: the totals and open calls that every append changes. Locking it locks the context.';
comment on column kata_data.head.context_id is 'The context.';
comment on column kata_data.head.tenant is
'As in context. With tokenizer, closed, is_strict and notifies it spares an append the look-up of the context.';
comment on column kata_data.head.tokenizer is 'As in context.';
comment on column kata_data.head.version is 'The newest version; 0 for an empty context.';
comment on column kata_data.head.message_count is 'The messages of the path, inherited ones included.';
comment on column kata_data.head.raw_tokens is 'The tokens of all messages of the path.';
comment on column kata_data.head.view_tokens is 'The tokens of the view: of a window without a budget.';
comment on column kata_data.head.content_version is
'The version of the last message appended or deleted; expected_version is compared with it.';
comment on column kata_data.head.preamble_end is
'The version of the last system or developer message before the first message of another role; null before that message.';
comment on column kata_data.head.last_at is 'created_at of the last batch; the next batch is later.';
comment on column kata_data.head.due_at is
'The time at which to check whether compaction is due; null: not before the next append. Set by kata_data.set_due.';
comment on column kata_data.head.closed is 'Whether the context is archived or deleted.';
comment on column kata_data.head.is_strict is 'The field strict of the policy, resolved.';
comment on column kata_data.head.notifies is 'The field notify of the policy, resolved.';
comment on column kata_data.head.summarizes is
'Whether the field strategy of the policy, resolved, is summarize: a worker without a model leaves the context alone.';
comment on column kata_data.head.last_digest is 'The digest of the newest entry, message or view change, that the next one continues.';
comment on column kata_data.head.open_calls is 'The calls without a result: a JSON object from call id to group version.';
comment on column kata_data.head.open_groups is
'The groups with an open call: a JSON object from group version to the tokens of the group so far.';
comment on column kata_data.head.oldest_open_group is 'The oldest of open_groups; null if there is none.';
comment on column kata_data.head.turn_version is 'The newest user message of the line; null if there is none.';
comment on column kata_data.head.framed_request is 'The newest request that a digest covers; null if there is none.';
comment on column kata_data.head.has_older_preamble is
'Whether preamble_end was ever set back, so that as of an older version a view change may say where the preamble ended.';
comment on column kata_data.head.view_version is 'The version of the newest view change of the path; null if there is none.';
comment on column kata_data.head.due_tokens is 'The tokens of the view from which compaction is due; null: never.';
comment on column kata_data.head.due_messages is 'The number of messages from which compaction is due; null: never.';

alter table kata_data.head
  alter column last_digest set statistics 0,
  alter column open_calls set statistics 0,
  alter column open_groups set statistics 0;

create index head_due on kata_data.head (summarizes, due_at) where due_at is not null;
comment on index kata_data.head_due is 'kata.claim_due_compaction for all tenants; kata.metrics.';
create index head_due_of_tenant on kata_data.head (hashtextextended(tenant, 0), summarizes, due_at) where due_at is not null;
comment on index kata_data.head_due_of_tenant is
'kata.claim_due_compaction for one tenant, which skips the due contexts of others, and for tenants in turn.';

create sequence kata_data.tenant_turn minvalue -9223372036854775808;
comment on sequence kata_data.tenant_turn is
'The hash of the tenant that kata.claim_due_compaction served last. A sequence, because it keeps its value when the claim is rolled back.';

-- A purge empties these columns. An erasure needs the right to update in order to lock the head.
grant select, update (name, metadata, policy, purged_at, updated_at) on kata_data.context to kata_eraser;
grant select, update (is_strict, notifies, summarizes, due_at, due_tokens, due_messages, open_calls, open_groups, oldest_open_group) on kata_data.head
to kata_eraser;
