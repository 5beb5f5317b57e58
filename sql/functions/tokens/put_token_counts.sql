-- Counts in other tokenizers are rows of their own; messages stay as they are. Shares the head, so that a purge waits and leaves no count behind,
-- and appends do not wait.
-- plans: writer

create or replace function kata.put_token_counts(context_id uuid, tokenizer text, versions bigint[], counts integer[]) returns integer
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_head kata_data.head;
  v_tokenizer text;
  v_unknown bigint;
  v_rows integer;
begin
  v_head := kata_data.share_context(context_id, 'write');
  perform kata_data.check_list('versions', cardinality(versions));
  v_tokenizer := kata_data.tokenizer_of(tokenizer);
  if v_tokenizer is null then
    perform kata_data.refuse_tokenizer(tokenizer);
  elsif v_tokenizer = v_head.tokenizer then
    raise exception using
      errcode = 'KC017',
      message = format('token counts for tokenizer "%s" cannot be stored', left(tokenizer, 100)),
      detail = format('The context itself counts in "%s"; only counts in other tokenizers can be stored.', v_head.tokenizer),
      hint = 'Append messages with their token counts, or name another tokenizer.';
  end if;
  if versions is null or counts is null or cardinality(versions) <> cardinality(counts)
    or exists (select from unnest(versions, counts) c(version, count) where c.version is null or c.count is null or c.count < 0) then
    raise exception using
      errcode = 'KC017',
      message = 'versions and counts do not match',
      detail = format('There are %s versions and %s counts; none is null, and no count is negative.',
        coalesce(cardinality(versions)::text, 'no'), coalesce(cardinality(counts)::text, 'no')),
      hint = 'Pass one count for every version, in the same order.';
  end if;

  select min(u.version) into v_unknown
  from unnest(versions) u(version)
  where u.version not between 1 and v_head.version
    or not exists (select from kata_data.path_messages(put_token_counts.context_id, int8multirange(int8range(u.version, u.version, '[]'))) m);
  if v_unknown is not null then
    raise exception using
      errcode = 'KC002',
      message = format('version %s not found', v_unknown),
      detail = format('Context %s has no message of this version.', context_id),
      hint = 'List the messages with kata.messages. No count was stored.';
  end if;
  insert into kata_data.token_count as t (segment_id, version, tokenizer, token_count)
  select distinct on (m.segment_id, m.version) m.segment_id, m.version, v_tokenizer, c.count
  from unnest(versions, counts) with ordinality c(version, count, ordinality)
  cross join lateral kata_data.path_messages(put_token_counts.context_id, int8multirange(int8range(c.version, c.version, '[]'))) m
  order by m.segment_id, m.version, c.ordinality desc
  on conflict on constraint token_count_pkey do update
  set token_count = excluded.token_count;
  get diagnostics v_rows = row_count;
  return v_rows;
end
$$;
comment on function kata.put_token_counts(uuid, text, bigint[], integer[]) is
'Stores exact token counts of messages in a tokenizer other than the context''s.

A window in that tokenizer uses them. Counts of inherited messages are shared with the context that wrote the messages.

context_id: the context. tokenizer: a registered one, or a model of one. versions, counts: one count per version, at most 10,000; a later one for the same version wins.

Returns how many messages have a new count.
Errors: KC001, KC002, KC006, KC017. Locks: the head of the context (FOR KEY SHARE). Cost: O(versions).';
