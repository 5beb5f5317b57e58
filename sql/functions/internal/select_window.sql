-- Which messages the model sees.
--
-- Promises first: the newest group, the preamble and the pins. The rest is the longest run of whole groups, newest first, that
-- fits what is left: so every version from some start on, and whatever older messages belong to groups met there. A group is
-- paid for at its newest message: that row carries the tokens of the whole group, so nothing below is looked at. Running totals
-- tell how far back the start can lie, so the cost follows what is returned, not the log.
--
-- With a stable step the rest starts at the oldest candidate at or after that start: a group one of whose messages carries
-- tokens_through past a multiple of the step. Candidates are facts of the log, so the start stays where it is until everything
-- from it no longer fits.

create or replace function kata_data.select_window(
  context_id uuid,
  inout preamble_end bigint,
  budget integer,
  at bigint,
  stable_step integer,
  tokenizer text,
  tokens_factor double precision,
  mean_tokens bigint,
  out versions int8multirange,
  out pinned_groups bigint[],
  out newest_group bigint,
  out over_budget boolean
)
language plpgsql stable
as $$
declare
  v_promised bigint[];
  v_left bigint;
  v_through bigint;
  v_through_before bigint;
  v_low bigint;
  v_reach bigint;
  v_start bigint;
  v_results bigint[];
  v_result_groups bigint[];
  v_candidates bigint[];
begin
  preamble_end := least(coalesce(preamble_end, at), at);
  select m.group_version, m.tokens_through into newest_group, v_through
  from kata_data.lineage l
  join kata_data.message m on m.segment_id = l.segment_id
  where l.context_id = select_window.context_id
    and at between l.first_version and l.last_version
    and m.version = at;
  pinned_groups := array(
    select distinct m.group_version
    from kata_data.segments(select_window.context_id, 1, at) s
    cross join lateral (
      select m.group_version
      from kata_data.message m
      where m.segment_id = s.segment_id
        and m.version between s.first_version and s.last_version
        and m.pinned
      offset 0
    ) m);

  v_promised := pinned_groups || newest_group;
  versions := int8multirange(int8range(1, preamble_end + 1))
    + case when v_promised = array[at] then int8multirange(int8range(at, at + 1)) else kata_data.group_members(context_id, v_promised, at) end;
  v_left := budget - (
    select sum(kata_data.tokens_in(m, tokenizer, tokens_factor))
    from kata_data.path_messages(select_window.context_id, versions) m);
  over_budget := v_left < 0;
  if over_budget then
    return;
  end if;

  -- As many of the newest versions as hold the budget, by running totals: the start cannot lie below. The first guess is not
  -- to cost much where the newest messages are much longer than most.
  v_reach := least(16 + budget / coalesce(tokens_factor, 1) / greatest(mean_tokens, 1) * 1.2, 1000);
  loop
    exit when at - v_reach <= preamble_end;
    select m.tokens_through into v_through_before
    from kata_data.lineage l
    join kata_data.message m on m.segment_id = l.segment_id
    where l.context_id = select_window.context_id
      and at - v_reach between l.first_version and l.last_version
      and m.version = at - v_reach;
    exit when v_through - v_through_before > budget / coalesce(tokens_factor, 1);
    v_reach := v_reach * 2;
  end loop;
  loop
    v_low := greatest(at - v_reach, preamble_end) + 1;
    select
      min(f.version),
      array_agg(f.version) filter (where f.group_version < f.version),
      array_agg(f.group_version) filter (where f.group_version < f.version),
      array_agg(f.group_version) filter (
        where (f.tokens_through + stable_step - 1) / nullif(stable_step, 0)
          > (f.tokens_through - f.token_count + stable_step - 1) / nullif(stable_step, 0))
    into v_start, v_results, v_result_groups, v_candidates
    from (
      select m.version, m.group_version, m.tokens_through, m.token_count, sum(m.cost) over (order by m.version desc) as paid
      from (
        select m.version, m.group_version, m.tokens_through, m.token_count,
          case
            when m.group_version = any (v_promised) then 0
            when m.version < max(m.version) over (partition by m.group_version) then 0
            -- More than any budget is enough; integers add up faster.
            when tokenizer is null then least(coalesce(m.group_tokens, m.token_count), 2147483647)::integer
            else least(kata_data.group_tokens_in(select_window.context_id, m.group_version, at, tokenizer, tokens_factor), 2147483647)::integer
          end as cost
        from kata_data.segments(select_window.context_id, v_low, at) s
        cross join lateral (
          select m.version, m.group_version, m.tokens_through, m.token_count, m.group_tokens
          from kata_data.message m
          where m.segment_id = s.segment_id
            and m.version between s.first_version and s.last_version
          offset 0
        ) m
      ) m
    ) f
    where f.paid <= v_left;
    -- Counts in another tokenizer may differ from what the running totals promise.
    exit when v_start > v_low or v_low = preamble_end + 1;
    v_reach := v_reach * 4;
  end loop;

  if stable_step > 0 and v_start > preamble_end + 1 then
    v_start := coalesce((select min(c.version) from unnest(v_candidates) c(version) where c.version >= v_start), v_start);
  end if;
  if v_start is not null then
    versions := versions + int8multirange(int8range(v_start, at + 1));
  end if;
  if v_result_groups is not null then
    v_result_groups := array(
      select r.group_version
      from unnest(v_results, v_result_groups) r(version, group_version)
      where r.version >= v_start and r.group_version < v_start);
    if v_result_groups <> '{}' then
      versions := versions + kata_data.group_members(context_id, v_result_groups, at);
    end if;
  end if;
end
$$;
comment on function kata_data.select_window(uuid, bigint, integer, bigint, integer, text, double precision, bigint) is
'The versions of a window as of a version above 0, and what of them was promised. preamble_end: as the head has it. tokenizer: null for the context''s own.
mean_tokens: of the messages of the context.
Cost: O(log n + window + pins + fork depth).';

create or replace function kata_data.tokens_in(message kata_data.message, tokenizer text, tokens_factor double precision) returns integer
language sql stable
as $$
  select case
    when tokenizer is null then message.token_count
    else kata_data.converted_tokens(message.segment_id, message.version, message.token_count, tokenizer, tokens_factor)
  end
$$;
comment on function kata_data.tokens_in(kata_data.message, text, double precision) is 'The tokens of a message in another tokenizer, or in the context''s own (null).';

create or replace function kata_data.converted_tokens(segment_id uuid, version bigint, token_count integer, tokenizer text, tokens_factor double precision)
returns integer
language sql stable
as $$
  select coalesce(
    (select c.token_count
     from kata_data.token_count c
     where c.segment_id = converted_tokens.segment_id
       and c.version = converted_tokens.version
       and c.tokenizer = converted_tokens.tokenizer),
    least(ceil(token_count * tokens_factor), 2147483647)::integer)
$$;
comment on function kata_data.converted_tokens(uuid, bigint, integer, text, double precision) is 'The stored count of a message in another tokenizer, else its own count times tokens_factor.';

create or replace function kata_data.group_tokens_in(context_id uuid, group_version bigint, at bigint, tokenizer text, tokens_factor double precision)
returns bigint
language sql stable
as $$
  select sum(kata_data.tokens_in(m, tokenizer, tokens_factor))
  from kata_data.path_messages(context_id, kata_data.group_members(context_id, array[group_version], at)) m
$$;
comment on function kata_data.group_tokens_in(uuid, bigint, bigint, text, double precision) is 'The tokens of a group up to a version, in another tokenizer.';

create or replace function kata_data.tokens_factor(own text, other text) returns double precision
language plpgsql stable
as $$
declare
  v_factor double precision;
begin
  select o.bytes_per_token / t.bytes_per_token * (1 + t.margin) into v_factor
  from kata_data.tokenizer o, kata_data.tokenizer t
  where o.name = own and t.name = other;
  if not found then
    raise exception using
      errcode = 'KC017',
      message = format('tokenizer "%s" is unknown', other),
      detail = 'Its ratio to other tokenizers is not registered.',
      hint = 'Register it with kata.register_tokenizer; kata.tokenizers lists the known ones.';
  end if;
  return v_factor;
end
$$;
comment on function kata_data.tokens_factor(text, text) is 'How many tokens of another tokenizer to reckon for one of a context''s own, padded. KC017.';
