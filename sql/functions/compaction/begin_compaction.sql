-- The first of two phases: takes a lease, fixes what is covered, and returns what a summarizer needs. Between the phases there is
-- neither lock nor transaction.
--
-- Artifacts are extracted before the head is locked, and only where there is something to begin: a refusal rolls them back, and the next
-- caller would parse the same messages again. The family is shared before that, so that nothing is handed out that is being erased: an
-- erasure either comes first, or finds the compaction and ends it.
-- plans: writer

create or replace function kata.begin_compaction(
  inout context_id uuid,
  strategy text default null,
  claimed_by text default null,
  lease_seconds integer default 300,
  force boolean default false,
  out compaction_id uuid, out covered int8multirange, out message_count bigint, out source_tokens bigint, out previous_summary text,
  out lease_expires_at timestamptz, out needs_summary boolean, out tokenizer text, out summary_budget integer
) returns setof record
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_context record;
  v_head kata_data.head;
  v_policy jsonb;
  v_due record;
  v_is_due boolean;
  v_compaction kata_data.compaction;
begin
  v_context := kata_data.open_context(context_id, access => 'write');
  perform kata_data.check_compaction_arguments(strategy, lease_seconds);
  select h.* into strict v_head from kata_data.head h where h.context_id = begin_compaction.context_id;
  v_due := kata_data.due_state(v_head, kata_data.resolved_policy(context_id));
  v_is_due := force or v_due.is_due;
  if v_is_due then
    perform kata_data.share_family(context_id, waits => true);
    perform kata_data.extract_artifacts(context_id, v_context.version);
  end if;

  v_head := kata_data.lock_context(context_id);
  v_policy := kata_data.resolved_policy(context_id);
  v_due := kata_data.due_state(v_head, v_policy);
  perform kata_data.take_over(context_id);
  v_compaction := kata_data.plan_compaction(v_head, v_policy, strategy, claimed_by, lease_seconds, coalesce(force, false));
  if not v_compaction.forced and (v_is_due and v_due.is_due) is not true then
    perform kata_data.refuse_nothing_to_compact(context_id, v_due.reason, v_compaction.message_count > 0);
  end if;
  if kata_data.gain_problem(v_compaction) is not null then
    perform kata_data.refuse_nothing_to_compact(context_id, kata_data.gain_problem(v_compaction), v_compaction.message_count > 0);
  end if;
  perform kata_data.start_compaction(v_compaction);
  perform kata_data.set_due(context_id);
  return query select l.* from kata_data.lease_row(v_compaction) l;
end
$$;
comment on function kata.begin_compaction(uuid, text, text, integer, boolean) is
'Begins a compaction: takes the lease on a context and fixes which messages are covered.

Then read kata.compaction_source, summarize, and call kata.commit_compaction or kata.abort_compaction. Messages that are appended
meanwhile are not covered. Never covered, forced or not: the preamble, the newest preserve_recent_count messages, the last request of
the user, preserved roles, pins, groups with an open call, and half of any group.

context_id: the context.
strategy: summarize, digest, elide or drop; null for that of the policy.
claimed_by: a name of the worker, for people; null for the role.
lease_seconds: 1 to 86,400; after it another worker may take over.
force: begin although the context is not due.

Returns one row: context_id, compaction_id, covered (versions), message_count (messages covered), source_tokens (as they are shown,
absorbed summaries included), previous_summary (the text of the summaries that it absorbs, to merge into; null: none),
lease_expires_at, needs_summary (false where the strategy is not summarize: commit_compaction takes null), tokenizer (of the context),
summary_budget (the tokens that a good summary takes at most: a third of source_tokens, and a tenth of the budget of the policy;
commit_compaction insists only that the view shrinks).
Errors: KC001, KC006, KC009 another holds the lease, KC010 not due or nothing to cover, KC017.
Locks: the family against removals, the head of the context; both until the end of the transaction. Artifacts are
extracted before the head is locked. Cost: O(view); extraction O(messages that are new).';
