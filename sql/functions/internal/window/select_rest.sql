-- The rest of a window: from some start on everything visible, by whole groups, as far as the budget reaches.
--
-- With a stable step the rest starts at the oldest candidate at or after that start: a group one of whose messages carries
-- tokens_through past a multiple of the step. Candidates are facts of the log, so the start stays where it is until everything
-- from it no longer fits. With a plan (planner/) it stays where the request before it started.

create or replace function kata_data.select_rest(
  context_id uuid,
  versions int8multirange,
  covered int8multirange,
  at bigint,
  inout elisions bigint[],
  inout amendments bigint[],
  is_amended boolean,
  promised bigint[],
  budget bigint,
  stable_step integer,
  measure kata_data.measure,
  plan kata_data.plan,
  rewound int8multirange,
  reworded int8multirange,
  out start bigint,
  out tokens_before bigint,
  out older_groups bigint[],
  out is_stable boolean
)
language plpgsql stable
as $$
declare
  v_is_as_counted boolean := measure.tokenizer is null and reworded is null;
  v_reworded int8multirange := coalesce(reworded, '{}');
  v_versions int8multirange := versions + coalesce(covered, '{}');
  v_message record;
  v_left bigint := budget;
  v_leap bigint;
  v_start bigint;
begin
  -- Groups that are paid for, and whose first message was not met yet.
  older_groups := promised;
  for v_message in
    select n.version, n.group_version, n.group_tokens, n.tokens_through, n.role, n.converted_tokens
    from kata_data.newest_first(select_rest.context_id, v_versions, measure, rewound) n
  loop
    -- A group is paid for at its newest message, whose row carries the tokens of the whole group.
    if v_message.group_version <> all (older_groups) then
      if covered @> v_message.version and (v_message.role = 'tool' or is_amended) then
        select c.elisions, c.amendments into strict elisions, amendments
        from kata_data.changes_of_group(context_id, v_message.group_version, v_message.role, at, rewound, is_amended, elisions, amendments) c;
        v_is_as_counted := v_is_as_counted and elisions = '{}' and amendments = '{}';
        v_reworded := v_reworded + covered;
      end if;
      v_left := v_left - case
        when v_is_as_counted then v_message.group_tokens
        when not v_reworded && int8range(v_message.group_version, v_message.version, '[]')
          and (measure.tokenizer is null or v_message.converted_tokens is not null) then coalesce(v_message.converted_tokens, v_message.group_tokens)
        when measure.tokenizer is null then v_message.group_tokens - kata_data.saved_tokens(context_id, v_message.group_version, at, elisions, amendments)
        else kata_data.group_tokens_in(context_id, v_message.group_version, at, elisions, amendments, measure, rewound)
      end;
      if v_left < 0 then
        start := v_message.version + 1;
        tokens_before := v_message.tokens_through;
        exit;
      end if;
      v_leap := coalesce(v_leap, case when budget - v_left >= plan.keep_tokens then v_message.version end);
      if v_message.group_version < v_message.version then
        older_groups := older_groups || v_message.group_version;
      end if;
    elsif v_message.group_version = v_message.version then
      older_groups := array_remove(older_groups, v_message.version);
    end if;
  end loop;
  is_stable := budget >= 0 and start is null;
  if not found then
    start := at + 1;
  elsif start is null then
    -- All fit, or are paid for. The oldest opens its group.
    start := v_message.version;
    tokens_before := v_message.tokens_through - v_message.group_tokens;
  end if;

  v_start := kata_data.kept_start(context_id, v_versions, budget, stable_step, plan, start, is_stable, v_leap);
  if v_start is not null then
    start := v_start;
    tokens_before := coalesce((select m.tokens_through from kata_data.message_at(select_rest.context_id, start - 1) m), 0);
    older_groups := kata_data.groups_before(context_id, v_versions, start, promised);
    is_stable := true;
  end if;
end
$$;
comment on function kata_data.select_rest(
  uuid, int8multirange, int8multirange, bigint, bigint[], bigint[], boolean, bigint[], bigint, integer, kata_data.measure,
  kata_data.plan, int8multirange, int8multirange) is
'Where the rest of a window starts among some versions, and what is below.

covered: versions that are not in the view and join it; null for none. elisions, amendments: of the view; with those of what is covered.
is_amended: whether hidden messages may have amendments. promised: groups that are paid for. budget: what is left for the rest; it may be negative. plan: null for none. rewound, reworded: of the view. Returns start, right after the newest message
whose group does not fit any more, or where everything fits the oldest; tokens_before, the running total below it (null where there is no
message); older_groups, groups promised or met there that may have messages below; is_stable: everything fits, or a candidate of the step
was found.
Cost: O(log n + rows that fit).';

create or replace function kata_data.kept_start(
  context_id uuid, versions int8multirange, budget bigint, stable_step integer, plan kata_data.plan, start bigint, all_fit boolean, leap bigint
) returns bigint
language plpgsql stable
as $$
begin
  return case
    when budget < 0 then null
    when plan.start is not null then kata_data.planned_start(plan, start, all_fit, leap)
    when stable_step > 0 and not all_fit then kata_data.stable_start(context_id, versions, start, stable_step)
  end;
end
$$;
comment on function kata_data.kept_start(uuid, int8multirange, bigint, integer, kata_data.plan, bigint, boolean, bigint) is
'A start of the rest that stays for a step, or that is planned; null for none.

start: the lowest that fits. all_fit, leap: as planned_start takes them.';

create or replace function kata_data.changes_of_group(
  context_id uuid, group_version bigint, role text, at bigint, rewound int8multirange, is_amended boolean,
  inout elisions bigint[], inout amendments bigint[]
)
language plpgsql stable
as $$
declare
  v_members int8multirange;
begin
  v_members := kata_data.group_members(context_id, array[group_version], at, rewound);
  -- They may change nothing else in the view, which then does not list them.
  if role = 'tool' then
    elisions := elisions || kata_data.elisions_of(context_id, v_members, at + 1, at, rewound, null);
  end if;
  if is_amended then
    amendments := amendments || kata_data.amendments_of(context_id, v_members, at + 1, at, rewound, null);
  end if;
end
$$;
comment on function kata_data.changes_of_group(uuid, bigint, text, bigint, int8multirange, boolean, bigint[], bigint[]) is
'The elisions and amendments of a window, with those of a covered group that joins it. role: of its newest message.';

create or replace function kata_data.stable_start(context_id uuid, versions int8multirange, start bigint, stable_step integer) returns bigint
language plpgsql stable
as $$
begin
  return (
    select min(m.group_version)
    from kata_data.path_messages(stable_start.context_id, versions * int8multirange(int8range(start, null))) m
    where m.group_version >= start
      and (m.tokens_through + stable_step - 1) / stable_step > (m.tokens_through - m.token_count + stable_step - 1) / stable_step);
end
$$;
comment on function kata_data.stable_start(uuid, int8multirange, bigint, integer) is
'The oldest candidate of a stable step among some versions from a start on; null where there is none.';

create or replace function kata_data.groups_before(context_id uuid, versions int8multirange, start bigint, promised bigint[]) returns bigint[]
language plpgsql stable
as $$
begin
  return array(
    select m.group_version
    from kata_data.path_messages(groups_before.context_id, versions * int8multirange(int8range(start, null))) m
    where m.group_version < start
    union
    select p.group_version from unnest(promised) p(group_version) where p.group_version < start);
end
$$;
comment on function kata_data.groups_before(uuid, int8multirange, bigint, bigint[]) is
'The groups, promised ones or those of messages from a start on, that begin before the start.';

create or replace function kata_data.newest_first(
  context_id uuid, versions int8multirange, measure kata_data.measure default null, rewound int8multirange default '{}'
)
returns table (
  version bigint, group_version bigint, group_tokens bigint, tokens_through bigint, role text, turn_version bigint, converted_tokens bigint
)
language sql stable rows 100
as $$
  select m.version, m.group_version, m.group_tokens, m.tokens_through, m.role, m.turn_version,
    case
      when measure.tokenizer is null then null
      when not m.has_members then coalesce(
        (select c.token_count
         from kata_data.token_count c
         where c.segment_id = s.segment_id
           and c.version = m.version
           and c.tokenizer = measure.tokenizer),
        kata_data.padded_tokens(m.group_tokens, measure.factor))
      -- Only at the newest member, so that a group of many results is added up once.
      when m.group_version >= s.first_version and not exists (
        select
        from kata_data.message n
        where n.segment_id = s.segment_id
          and n.group_version = m.group_version
          and n.version > m.version
          and n.version <= s.last_version
          and (n.tool_calls is not null or n.tool_call_id is not null)
          and not rewound @> n.version) then (
        select sum(coalesce(
          (select c.token_count
           from kata_data.token_count c
           where c.segment_id = s.segment_id
             and c.version = n.version
             and c.tokenizer = measure.tokenizer),
          kata_data.padded_tokens(n.token_count, measure.factor)))
        from kata_data.message n
        where n.segment_id = s.segment_id
          and n.group_version = m.group_version
          and n.version <= m.version
          and (n.tool_calls is not null or n.tool_call_id is not null)
          and not rewound @> n.version)
    end
  from (select r.range from unnest(versions) r(range) order by r.range desc offset 0) r
  cross join lateral (
    select s.segment_id, s.first_version, s.last_version
    from kata_data.segments(newest_first.context_id, lower(r.range), upper(r.range) - 1) s
    order by s.first_version desc
    offset 0
  ) s
  cross join lateral (
    select m.version, m.group_version, coalesce(m.group_tokens, m.token_count) as group_tokens, m.tokens_through, m.role, m.turn_version,
      m.tool_calls is not null or m.tool_call_id is not null as has_members
    from kata_data.message m
    where m.segment_id = s.segment_id
      and m.version between s.first_version and s.last_version
    order by m.version desc
    offset 0
  ) m
$$;
comment on function kata_data.newest_first(uuid, int8multirange, kata_data.measure, int8multirange) is
'The messages of a path at some versions, newest first.

The loops nest in this order, so nothing is sorted, and only the rows that the caller reads cost. group_tokens: of the message''s group, up to
and including it. converted_tokens: of the group in another tokenizer, as it was written; null at a message that is not the newest of its group,
and where the group began in another piece of the path. rewound: of the view, to add up groups in another tokenizer.';
