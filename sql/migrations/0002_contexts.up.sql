-- Contexts: who they are (context), where they stand (head), and whose rows they read (lineage).

create table kata_data.tokenizer (
  name text constraint tokenizer_pkey primary key constraint tokenizer_name_length check (length(name) between 1 and 255),
  bytes_per_token numeric not null constraint tokenizer_bytes_per_token_positive check (bytes_per_token > 0),
  margin numeric not null default 0.15 constraint tokenizer_margin_not_negative check (margin >= 0)
);
comment on table kata_data.tokenizer is 'Known tokenizers: bytes of English text a token, and the margin that a conversion from another tokenizer is padded with.';

insert into kata_data.tokenizer (name, bytes_per_token, margin) values
  ('o200k_base', 4.4, 0.15),
  ('cl100k_base', 4.3, 0.15);

create table kata_data.context (
  context_id uuid constraint context_pkey primary key,
  tenant text not null constraint context_tenant_is_one check (tenant <> '' and tenant <> '*'),
  name text constraint context_name_length check (length(name) between 1 and 255),
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
comment on table kata_data.context is 'A context: its identity, names, policy (the fields that differ from the defaults) and state. What changes with every append is in head.';
comment on column kata_data.context.family_id is 'The root of the fork family; the root names itself.';

-- find_context, and the promise that a name is unique among a tenant's live contexts.
create unique index context_live_name on kata_data.context (tenant, name) where deleted_at is null and name is not null;
-- list_contexts: live ones, and all.
create index context_live on kata_data.context (tenant, context_id) where deleted_at is null;
create index context_all on kata_data.context (tenant, context_id);
-- forks, and the foreign key.
create index context_parent on kata_data.context (parent_id, fork_version) where parent_id is not null;
-- tree.
create index context_family on kata_data.context (family_id) where parent_id is not null;

-- The second fence: the owner obeys it too. The head has none: it holds no text, and asking twice costs every append. The policy stands in sql/functions/internal; without one nothing is visible.
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
  last_digest bytea not null,
  open_calls jsonb not null default '{}',
  open_groups jsonb not null default '{}',
  oldest_open_group bigint
)
-- Every append updates this row: room for the new one on its page, and no index on what changes, keep the update HOT. No
-- CHECK either, here and on message: Postgres parses them anew for every statement, a tenth of the time of an append.
-- kata_data.append_batch, the only writer, sees to what they would say, and kata.verify looks for it.
with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
comment on table kata_data.head is 'The hot row of a context: appending updates it, which takes the lock, hands out the versions and moves the totals.';
comment on column kata_data.head.content_version is 'The version of the last message appended or deleted: what expected_version is held against.';
comment on column kata_data.head.preamble_end is 'The version of the last system or developer message before the first message of another role; null while no other role has spoken.';
comment on column kata_data.head.last_at is 'created_at of the last batch; the next one is later.';
comment on column kata_data.head.tenant is 'As in context. With tokenizer, closed, is_strict and notifies it is what an append must know of its context: here it reads one row.';
comment on column kata_data.head.tokenizer is 'As in context.';
comment on column kata_data.head.closed is 'Archived or deleted.';
comment on column kata_data.head.is_strict is 'The policy''s field strict, resolved.';
comment on column kata_data.head.notifies is 'The policy''s field notify, resolved.';
comment on column kata_data.head.open_calls is 'Call id → group version, of the calls without a result.';
comment on column kata_data.head.open_groups is 'Group version → tokens of the group so far, of the groups with an open call.';
comment on column kata_data.head.oldest_open_group is 'The oldest of open_groups; null where there is none.';

-- claim_due_compaction.
create index head_due on kata_data.head (due_at) where due_at is not null;

create table kata_data.lineage (
  context_id uuid constraint lineage_context_fkey references kata_data.context,
  first_version bigint,
  last_version bigint not null default 9223372036854775807,
  segment_id uuid not null constraint lineage_segment_fkey references kata_data.context,
  constraint lineage_pkey primary key (context_id, first_version),
  constraint lineage_range_not_empty check (first_version between 1 and last_version)
);
comment on table kata_data.lineage is 'Which segment (a context''s own rows) holds which versions of a context''s path; the last segment is its own and open-ended.';

create table kata_data.tenant_role (
  role_name name constraint tenant_role_pkey primary key,
  tenant text not null constraint tenant_role_tenant_is_one check (tenant <> '' and tenant <> '*')
);
comment on table kata_data.tenant_role is 'The tenant of a database role, where it is not the role''s own name.';
