-- The previous request of a line: the newest own one, else that of the nearest ancestor that has one up to the fork. Requests with other
-- prefixes, for example of a second model, are passed over; so are those that a rewind took off the line.

create or replace function kata_data.previous_request(context_id uuid, at bigint, view kata_data.view, prefix_digest bytea)
returns kata_data.request
language plpgsql stable
as $$
declare
  v_segment record;
  v_last bigint;
  v_request kata_data.request;
begin
  for v_segment in
    select l.segment_id, least(l.last_version, previous_request.at) as last_version, l.segment_id = l.context_id as is_own
    from kata_data.lineage l
    where l.context_id = previous_request.context_id
      and l.first_version <= previous_request.at + 1
    order by l.first_version desc
  loop
    v_last := case
      when v_segment.is_own then kata_data.last_request(v_segment.segment_id)
      else kata_data.last_request_until(v_segment.segment_id, v_segment.last_version)
    end;
    select r.* into v_request
    from (
      select r.*
      from kata_data.request r
      where r.context_id = v_segment.segment_id
        and r.request_id between v_last - 19 and v_last
      offset 0
    ) r
    join kata_data.request_profile p on p.profile_id = r.profile_id
    where p.prefix_digest = previous_request.prefix_digest
      and r.at <= v_segment.last_version
      and not view.rewound @> r.at
    order by r.request_id desc
    limit 1;
    if found then
      return v_request;
    end if;
  end loop;
  return null;
end
$$;
comment on function kata_data.previous_request(uuid, bigint, kata_data.view, bytea) is
'The previous request of a line as of a version with the same prefix; null for none. view: as of the version.

In each segment the newest 20 are looked at. Cost: O(fork depth × log n).';

create or replace function kata_data.last_request(context_id uuid) returns bigint
language sql stable
as $$
  select coalesce(max(q.request_id), 0)
  from (
    select q.request_id
    from kata_data.request q
    where q.context_id = last_request.context_id
    order by q.request_id desc
    limit 1
  ) q
$$;
comment on function kata_data.last_request(uuid) is 'The number of the newest request of a context; 0 for none.';

create or replace function kata_data.last_request_until(segment_id uuid, at bigint) returns bigint
language plpgsql stable
as $$
declare
  v_low bigint := 0;
  v_high bigint;
  v_middle bigint;
begin
  v_high := kata_data.last_request(segment_id) + 1;
  -- Requests are numbered as the log grows. Those that ask about the past are out of order, and few.
  while v_high - v_low > 1 loop
    v_middle := (v_low + v_high) / 2;
    if exists (
      select from kata_data.request r
      where r.context_id = last_request_until.segment_id
        and r.request_id = v_middle
        and r.at > last_request_until.at) then
      v_high := v_middle;
    else
      v_low := v_middle;
    end if;
  end loop;
  return v_low;
end
$$;
comment on function kata_data.last_request_until(uuid, bigint) is
'The number of the last request of a segment that asked about a version, or one before it; 0 for none. Cost: O(log² n).';
