-- Hands out work, tenant by tenant: of the tenant whose turn it is the context that has been due longest and that no other worker is at.
--
-- A claim looks at a bounded number of contexts. One that raises an error or exceeds statement_timeout is rolled back alone, and recorded
-- as a failed attempt; the records of the others stay.
-- Candidates are chosen and planned without a lock, and their artifacts extracted; then the head is locked or skipped, and everything is
-- checked again. That a context has nothing to gain, is due later or fails is stored last: until then its head is not locked, and appends to
-- it do not wait for the work on others.
-- plans: writer

create or replace function kata.claim_due_compaction(
  claimed_by text,
  lease_seconds integer default 300,
  can_summarize boolean default true,
  out context_id uuid, out compaction_id uuid, out covered int8multirange, out message_count bigint, out source_tokens bigint,
  out previous_summary text, out lease_expires_at timestamptz, out needs_summary boolean, out tokenizer text, out summary_budget integer
) returns setof record
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_now timestamptz := kata_data.clock();
  v_seen uuid[] := '{}'::uuid[];
  v_later uuid[] := '{}'::uuid[];
  v_ended kata_data.compaction[] := '{}'::kata_data.compaction[];
  v_context_id uuid;
  v_claim record;
  v_is_over boolean;
  v_recorded bigint;
begin
  perform kata_data.check_compaction_arguments(null, lease_seconds);
  loop
    v_context_id := kata_data.next_due(v_now, can_summarize is not false, v_seen);
    exit when v_context_id is null;
    v_seen := v_seen || v_context_id;
    v_claim := kata_data.guarded_claim(v_context_id, claimed_by, lease_seconds);
    v_is_over := v_claim.outcome <> 'claimed' and (cardinality(v_seen) = 32 or kata_data.is_late());
    case v_claim.outcome
      when 'claimed' then return query select l.* from unnest(v_claim.leases) l;
      when 'later' then v_later := v_later || v_context_id;
      when 'ended' then v_ended := v_ended || v_claim.compaction;
      when 'skipped' then null;
    end case;
    exit when v_is_over or v_claim.outcome = 'claimed';
  end loop;

  v_recorded := kata_data.postpone(v_later) + (select count(*) from unnest(v_ended) e where kata_data.record_failure(e, e.error));
  -- Workers look here every few seconds, so keys leave although no new ones come.
  perform kata_data.remove_expired_keys(100);
  -- There may be more to look at: workers need not wait until they look again. Where nothing was recorded, the same would come again.
  if v_is_over and v_recorded > 0 then
    perform pg_notify('kata', '');
  end if;
end
$$;
comment on function kata.claim_due_compaction(text, integer, boolean) is
'Begins the compaction of a context that is due, by its policy; each worker gets another context.

Under kata.tenant ''*'' tenants are served in turn, each with the context that has been due longest; calls by compaction_id then need no
tenant. A call looks at 32 contexts at most. It records as failed the attempts that would gain nothing, raise an error or exceed
statement_timeout, and goes on with the next context.

claimed_by: a name of the worker, for people.
lease_seconds: 1 to 86,400; after it another worker may take over.
can_summarize: whether the worker has a model; false leaves alone the contexts whose strategy is summarize, which kata.stats counts.

Returns one row, or none where nothing was found: context_id, compaction_id, covered, message_count, source_tokens, previous_summary,
lease_expires_at, needs_summary, tokenizer and summary_budget, as begin_compaction.
Errors: KC017. Locks: the family against removals, the head of the context, and at the end the heads of contexts that
have nothing to gain, fail or are due later; contexts that are locked or being erased are skipped. Cost: as begin_compaction, and O(view)
for each of the contexts that it records.';

create or replace function kata_data.next_due(moment timestamptz, can_summarize boolean, seen uuid[]) returns uuid
language plpgsql volatile
as $$
declare
  v_tenant text;
  v_context_id uuid;
  v_first bigint;
  v_turn bigint;
begin
  v_tenant := kata_data.current_tenant();
  if v_tenant <> '*' then
    return kata_data.oldest_due(hashtextextended(v_tenant, 0), moment, can_summarize, seen, v_tenant);
  end if;
  v_turn := (select t.last_value from kata_data.tenant_turn t);
  for v_probe in 1 .. 100 loop
    v_turn := kata_data.next_turn(v_turn);
    exit when v_turn is null or v_turn = v_first;
    v_first := coalesce(v_first, v_turn);
    v_context_id := kata_data.oldest_due(v_turn, moment, can_summarize, seen);
    exit when v_context_id is not null;
  end loop;
  if v_context_id is null and v_turn is not null and v_turn <> v_first then
    select h.context_id into v_context_id
    from unnest(array[false, can_summarize]) k(summarizes)
    cross join lateral (
      select h.context_id, h.due_at
      from kata_data.head h
      where h.summarizes = k.summarizes
        and h.due_at <= moment
        and h.context_id <> all (seen)
      order by h.due_at
      limit 1
    ) h
    order by h.due_at
    limit 1;
  end if;
  if v_context_id is not null then
    -- Outside of the transaction: whatever becomes of the claim, the next one begins with another tenant.
    perform setval('kata_data.tenant_turn', v_turn);
  end if;
  return v_context_id;
end
$$;
comment on function kata_data.next_due(timestamptz, boolean, uuid[]) is
'The context to look at next, which is not among the seen ones; null where there is none. Takes no lock.

Of a tenant: the one that has been due longest. Under kata.tenant ''*'': that of the tenant whose turn it is, among the next 100 with
contexts that are or will be due; where none of those is due yet, the one that has been due longest of all.
Cost: O(log n + seen), for each of at most 100 tenants.';

create or replace function kata_data.next_turn(turn bigint) returns bigint
language plpgsql stable
as $$
begin
  return coalesce(
    (
      select hashtextextended(h.tenant, 0)
      from kata_data.head h
      where hashtextextended(h.tenant, 0) > turn
        and h.due_at is not null
      order by hashtextextended(h.tenant, 0)
      limit 1),
    (
      select hashtextextended(h.tenant, 0)
      from kata_data.head h
      where h.due_at is not null
      order by hashtextextended(h.tenant, 0)
      limit 1));
end
$$;
comment on function kata_data.next_turn(bigint) is
'The tenant after another in the order of turns, by hash of its name, of those with a context that is or will be due; null where none has.
Cost: O(log n).';

create or replace function kata_data.oldest_due(
  turn bigint, moment timestamptz, can_summarize boolean, seen uuid[], tenant text default null
) returns uuid
language plpgsql stable
as $$
begin
  return (
    select h.context_id
    from unnest(array[false, can_summarize]) k(summarizes)
    cross join lateral (
      select h.context_id, h.due_at
      from kata_data.head h
      -- All columns at once: the index on what is due for all tenants cannot serve the condition.
      where (hashtextextended(h.tenant, 0), h.summarizes, h.due_at) between (turn, k.summarizes, '-infinity') and (turn, k.summarizes, moment)
        and h.due_at is not null
        and h.context_id <> all (seen)
        -- Another name may have the same hash.
        and (oldest_due.tenant is null or h.tenant = oldest_due.tenant)
      order by hashtextextended(h.tenant, 0), h.summarizes, h.due_at
      limit 1
    ) h
    order by h.due_at
    limit 1);
end
$$;
comment on function kata_data.oldest_due(bigint, timestamptz, boolean, uuid[], text) is
'The context of a tenant that has been due longest and is not among the seen ones; null where there is none.

turn: the hash of the tenant''s name. tenant: its name; null for all whose names have the hash. can_summarize: whether contexts with the strategy summarize count. Cost: O(log n + seen).';

create or replace function kata_data.is_late() returns boolean
language sql volatile
as $$
  select kata_data.reaches_timeout(3 * (clock_timestamp() - statement_timestamp()))
$$;
comment on function kata_data.is_late() is 'Whether the statement has used up a third of statement_timeout.';
