-- Compaction: attempts, leases, and what decides when the next one is due.
--
-- compaction has one row per attempt. begin_compaction and claim_due_compaction insert it as running, with a lease; renewing
-- extends the lease, and committing, aborting, failing or a takeover after the lease ends it. The row is locked after the
-- head of its context. The work between, calling a model, holds no lock and no transaction. compaction_guard has one row per
-- context that was ever attempted: what keeps it from being compacted again and again without gain; the end of each attempt
-- and set_policy write it, and fork copies the count of messages. policy_change has one row per set_policy. Whether a context
-- is due is kept in its head (due_at, due_tokens, due_messages), so that appends decide it for nothing.
--
-- Invariants: a context has at most one running attempt; a commit applies to the view that it began from, or not at all.

create table kata_data.compaction (
  compaction_id uuid constraint compaction_pkey primary key,
  context_id uuid not null constraint compaction_context_fkey references kata_data.context,
  status text not null constraint compaction_status_known check (status in ('running', 'committed', 'aborted', 'failed', 'expired')),
  strategy text not null,
  policy jsonb not null,
  forced boolean not null,
  base_version bigint not null,
  base_change_id bigint not null,
  covered int8multirange not null,
  merged_summaries bigint[] not null,
  summary_version bigint,
  message_count bigint not null,
  source_tokens bigint not null,
  result_tokens bigint,
  claimed_by text not null,
  started_at timestamptz not null,
  lease_expires_at timestamptz not null,
  finished_at timestamptz,
  error text
);
comment on table kata_data.compaction is 'Every attempt to compact a context.';
comment on column kata_data.compaction.status is 'running; committed; aborted (given up, no failure); failed; expired (the lease ran out and somebody took over).';
comment on column kata_data.compaction.policy is 'The policy in force when it began, every field resolved.';
comment on column kata_data.compaction.base_version is 'The version of the context when it began: nothing after it is covered.';
comment on column kata_data.compaction.base_change_id is 'The newest view change when it began, by change_id.';
comment on column kata_data.compaction.covered is 'What it covers: messages, and the summaries it absorbs.';
comment on column kata_data.compaction.summary_version is 'The version that it took; of the summary, where one entered.';

-- compactions(), the running one, and the foreign key.
create index compaction_context on kata_data.compaction (context_id, started_at);
-- One lease per context.
create unique index compaction_running on kata_data.compaction (context_id) where status = 'running';

create table kata_data.compaction_guard (
  context_id uuid constraint compaction_guard_pkey primary key constraint compaction_guard_context_fkey references kata_data.context,
  failures integer not null default 0,
  attempted_at timestamptz,
  compacted_at timestamptz,
  least_tokens bigint not null default 0,
  message_count bigint not null default 0
);
comment on table kata_data.compaction_guard is 'What keeps a context from being compacted again and again: written at the end of each attempt.';
comment on column kata_data.compaction_guard.failures is 'Failed or gainless attempts in a row.';
comment on column kata_data.compaction_guard.least_tokens is 'The next attempt is worth it from this many tokens of the view on: what the last one left, and the least gain.';
comment on column kata_data.compaction_guard.message_count is 'Messages of the path at the last attempt.';

create table kata_data.policy_change (
  context_id uuid constraint policy_change_context_fkey references kata_data.context,
  changed_at timestamptz,
  changed_by text not null,
  patch jsonb not null,
  policy jsonb not null,
  constraint policy_change_pkey primary key (context_id, changed_at)
);
comment on table kata_data.policy_change is 'Every change of a policy: the patch, and the policy after it, as far as it differs from the defaults.';

-- An erasure ends the running compactions that may have read what it erases.
grant select, update (status, error, finished_at), delete on kata_data.compaction to kata_eraser;
grant select, delete on kata_data.compaction_guard, kata_data.policy_change to kata_eraser;
