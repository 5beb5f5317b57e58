-- Compaction: attempts, leases, and the guards that delay the next attempt.
--
-- compaction has one row per attempt. begin_compaction and claim_due_compaction insert it as running, with a lease; renewing
-- extends the lease, and committing, aborting, failing or a takeover after the lease ends it. The row is locked after the
-- head of its context. The work between, calling a model, holds no lock and no transaction. compaction_guard has one row per
-- context that was ever attempted: the state that keeps it from being compacted again and again without gain; the end of each
-- attempt and set_policy write it, and fork copies the count of messages. Whether a
-- context is due is kept in its head (due_at, due_tokens, due_messages), so an append decides it without another look-up.
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
  error text,
  act_context_id uuid,
  act_number bigint
);
comment on table kata_data.compaction is 'One row per attempt to compact a context.';
comment on column kata_data.compaction.compaction_id is 'The id of the attempt, in the layout of context ids.';
comment on column kata_data.compaction.context_id is 'The context.';
comment on column kata_data.compaction.status is
'running; committed; aborted (given up, not a failure); failed; expired (taken over after its lease ran out).';
comment on column kata_data.compaction.strategy is 'summarize, digest, elide or drop.';
comment on column kata_data.compaction.policy is 'The policy at its beginning, every field resolved.';
comment on column kata_data.compaction.forced is 'Whether it was begun without regard to whether compaction was due.';
comment on column kata_data.compaction.base_version is 'The version of the context at its beginning: nothing after it is covered.';
comment on column kata_data.compaction.covered is 'The versions that it covers: messages, and the summaries that it absorbs.';
comment on column kata_data.compaction.merged_summaries is 'The versions of the summaries that it absorbs.';
comment on column kata_data.compaction.summary_version is
'The version of its view change, and of its summary, if it has one; null until it is committed.';
comment on column kata_data.compaction.message_count is 'The number of messages that it covers.';
comment on column kata_data.compaction.source_tokens is 'The tokens of the view that it covers.';
comment on column kata_data.compaction.result_tokens is 'The tokens that replace them; null until it is committed.';
comment on column kata_data.compaction.claimed_by is 'The worker that holds the lease.';
comment on column kata_data.compaction.started_at is 'The time when it was begun.';
comment on column kata_data.compaction.lease_expires_at is 'The time after which another worker may take over.';
comment on column kata_data.compaction.finished_at is 'The time when it ended; null while it is running.';
comment on column kata_data.compaction.error is 'The reason why it did not succeed.';
comment on column kata_data.compaction.act_context_id is
'With act_number: the erasure that ended it; null for one that ended otherwise, of which its context has an act.';
comment on column kata_data.compaction.act_number is 'The number of that act.';

-- Statistics would keep what an erasure or a purge removes, also after VACUUM. Look-ups are by whole keys and need none.
alter table kata_data.compaction
  alter column strategy set statistics 0,
  alter column policy set statistics 0,
  alter column claimed_by set statistics 0,
  alter column error set statistics 0;

create index compaction_context on kata_data.compaction (context_id, started_at);
comment on index kata_data.compaction_context is 'kata.compactions; the foreign key.';
create unique index compaction_running on kata_data.compaction (context_id) where status = 'running';
comment on index kata_data.compaction_running is 'The running attempt; a context has one at most.';

create table kata_data.compaction_guard (
  context_id uuid constraint compaction_guard_pkey primary key constraint compaction_guard_context_fkey references kata_data.context,
  failures integer not null default 0,
  attempted_at timestamptz,
  compacted_at timestamptz,
  least_tokens bigint not null default 0,
  message_count bigint not null default 0
);
comment on table kata_data.compaction_guard is
'One row per context with an attempt, or forked from one after the attempt: what keeps it from being compacted again and again.';
comment on column kata_data.compaction_guard.context_id is 'The context.';
comment on column kata_data.compaction_guard.failures is 'The number of failed attempts and attempts without gain since the last success.';
comment on column kata_data.compaction_guard.attempted_at is 'The time of the last attempt.';
comment on column kata_data.compaction_guard.compacted_at is 'The time of the last success.';
comment on column kata_data.compaction_guard.least_tokens is
'The tokens of the view from which another attempt is worth it: those that the last one left, and the least gain.';
comment on column kata_data.compaction_guard.message_count is 'The messages of the path at the last attempt.';

create index compaction_guard_failing on kata_data.compaction_guard (failures) where failures > 0;
comment on index kata_data.compaction_guard_failing is 'kata.failing_compactions; kata.metrics.';

-- The row that begin_compaction and claim_due_compaction hand to a worker.
create type kata_data.lease as (
  context_id uuid,
  compaction_id uuid,
  covered int8multirange,
  message_count bigint,
  source_tokens bigint,
  previous_summary text,
  lease_expires_at timestamptz,
  needs_summary boolean,
  tokenizer text,
  summary_budget integer
);
comment on type kata_data.lease is 'A running compaction as its worker sees it.';
comment on column kata_data.lease.previous_summary is 'The text of the summaries that it absorbs; null where there is none.';
comment on column kata_data.lease.needs_summary is 'Whether the worker has to write a summary: the strategy is summarize.';
comment on column kata_data.lease.summary_budget is 'The tokens that a good summary takes at most.';

-- An erasure ends the running compactions that may have read what it erases.
grant select, update (status, error, finished_at, act_context_id, act_number), delete on kata_data.compaction to kata_eraser;
grant select, delete on kata_data.compaction_guard to kata_eraser;
