-- Both phases in one transaction, for the strategies that need no model.
-- plans: writer

create or replace function kata.compact(
  context_id uuid,
  strategy text default 'digest',
  force boolean default false,
  out summary_version bigint, out covered int8multirange, out message_count bigint, out source_tokens bigint, out result_tokens bigint
) returns setof record
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_compaction_id uuid;
begin
  perform kata_data.open_context(context_id, access => 'write');
  if strategy is null or strategy not in ('digest', 'elide', 'drop') then
    raise exception using
      errcode = 'KC017',
      message = format('strategy "%s" needs a model, or is unknown', coalesce(left(strategy, 100), 'null')),
      detail = 'kata.compact runs the strategies that the database can carry out by itself.',
      hint = 'Pass digest, elide or drop; to summarize, call kata.begin_compaction and kata.commit_compaction.';
  end if;
  select b.compaction_id into strict v_compaction_id
  from kata.begin_compaction(compact.context_id, compact.strategy, force => compact.force) b;
  return query
  select r.summary_version, r.covered, r.message_count, r.source_tokens, r.result_tokens
  from kata.commit_compaction(v_compaction_id, null) r;
end
$$;
comment on function kata.compact(uuid, text, boolean) is
'Compacts a context without a model.

context_id: the context.
strategy: digest (a text made here replaces the covered messages: the first and the last five messages of the user, the artifacts, and
  counts), elide (tool results over elide_over_tokens of the policy are shortened), drop (the old messages leave the view, without a
  replacement).
force: compact although the context is not due.

Returns one row, as commit_compaction: summary_version (the version that it took), covered, message_count, source_tokens, result_tokens.
Errors: KC001, KC006, KC009, KC010 not due or nothing to cover, KC012 nothing gained, KC017.
Locks: the head of the context. Cost: O(view).';
