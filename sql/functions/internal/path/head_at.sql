-- The head of a context as it was at a version: for a fork there, and for a rewind to it.

create or replace function kata_data.head_at(head kata_data.head, at bigint) returns kata_data.head
language plpgsql stable
as $$
declare
  v_head kata_data.head := head;
  v_rewound int8multirange;
  v_open record;
begin
  if at >= head.version then
    return head;
  end if;
  v_head.version := at;
  select t.message_count, t.raw_tokens, t.view_tokens, t.content_version, t.view_version, t.oldest_open_group, t.turn_version,
    t.last_at, t.last_digest, t.rewound
  into strict v_head.message_count, v_head.raw_tokens, v_head.view_tokens, v_head.content_version, v_head.view_version, v_head.oldest_open_group,
    v_head.turn_version, v_head.last_at, v_head.last_digest, v_rewound
  from kata_data.totals_at(head.context_id, head_at.at) t;

  -- The preamble is over at that version if a message follows it there, and not only a view change.
  v_head.preamble_end := case when head.has_older_preamble then kata_data.preamble_end_at(head, at) else head.preamble_end end;
  if v_head.preamble_end >= at
    or (head.view_version is not null
      and coalesce(kata_data.newest_of_line(head.context_id, at, v_rewound), 0) <= v_head.preamble_end) then
    v_head.preamble_end := null;
  end if;

  if at - v_head.oldest_open_group > head.version - at
    and (head.view_version <= at or (kata_data.view_at(head.context_id, head.version)).rewound = v_rewound) is not false then
    v_open := kata_data.open_calls_before(head, at, v_rewound);
  else
    v_open := kata_data.open_calls_at(head.context_id, at, v_rewound, v_head.oldest_open_group);
  end if;
  v_head.open_calls := v_open.open_calls;
  v_head.open_groups := v_open.open_groups;
  return v_head;
end
$$;
comment on function kata_data.head_at(kata_data.head, bigint) is
'A head as it was at a version at or below it: totals, open calls, preamble, last digest (null at 0, and last_at).

Cost: O(log n + fork depth); if a call was open, O(messages from its group to the version, or from the head back, whichever is nearer and,
of the second, no rewind between).';

create or replace function kata_data.preamble_end_at(head kata_data.head, at bigint) returns bigint
language plpgsql stable
as $$
declare
  v_preamble_end bigint := head.preamble_end;
begin
  -- Each change has the preamble that stood before it.
  select c.preamble_end into v_preamble_end
  from (
    select s.segment_id, s.first_version, s.last_version
    from kata_data.segments(head.context_id, preamble_end_at.at + 1, head.version) s
    order by s.first_version
    offset 0
  ) s
  cross join lateral (
    select c.preamble_end
    from kata_data.view_change c
    where c.segment_id = s.segment_id
      and c.version between s.first_version and s.last_version
    order by c.version
    limit 1
  ) c
  limit 1;
  if not found then
    return head.preamble_end;
  end if;
  return v_preamble_end;
end
$$;
comment on function kata_data.preamble_end_at(kata_data.head, bigint) is
'preamble_end of a head as of a version below it, where a rewind may have set it back; the part above the version is not of the preamble.

Cost: O(log n + fork depth).';

create or replace function kata_data.newest_of_line(context_id uuid, at bigint, rewound int8multirange) returns bigint
language plpgsql stable
as $$
declare
  v_version bigint;
  v_at bigint := at;
begin
  loop
    v_version := (select m.version from kata_data.message_at(newest_of_line.context_id, v_at) m);
    exit when v_version is null or not rewound @> v_version;
    v_at := (select lower(r.range) - 1 from unnest(rewound) r(range) where r.range @> v_version);
  end loop;
  return v_version;
end
$$;
comment on function kata_data.newest_of_line(uuid, bigint, int8multirange) is
'The newest message of a line at or before a version; null where there is none. rewound: of the view as of the version.

Cost: O(log n + fork depth) for each rewound range at its end.';
