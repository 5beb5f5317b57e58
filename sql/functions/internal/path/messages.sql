-- Reads of messages along a path.

create or replace function kata_data.path_messages(context_id uuid, versions int8multirange)
returns setof kata_data.message
language sql stable rows 100
as $$
  select m.*
  from unnest(versions) r(range)
  cross join lateral (
    select s.segment_id, s.first_version, s.last_version
    from kata_data.segments(path_messages.context_id, lower(r.range), upper(r.range) - 1) s
    offset 0
  ) s
  cross join lateral (
    select m.*
    from kata_data.message m
    where m.segment_id = s.segment_id
      and m.version between s.first_version and s.last_version
    order by m.version
    offset 0
  ) m
$$;
comment on function kata_data.path_messages(uuid, int8multirange) is
'The messages of a context''s path at some versions, in no order. Cost: O(messages + ranges × depth).';

create or replace function kata_data.message_of(context_id uuid, version bigint)
returns table (group_version bigint, group_tokens bigint, tokens_through bigint, turn_version bigint)
language sql stable rows 1
as $$
  select m.group_version, m.group_tokens, m.tokens_through, m.turn_version
  from kata_data.segments(message_of.context_id, message_of.version, message_of.version) s
  cross join lateral (
    select m.group_version, coalesce(m.group_tokens, m.token_count) as group_tokens, m.tokens_through, m.turn_version
    from kata_data.message m
    where m.segment_id = s.segment_id
      and m.version = s.first_version
    offset 0
  ) m
$$;
comment on function kata_data.message_of(uuid, bigint) is
'The group and the totals of the message that took a version of a path; no row where none did.

group_tokens: of its group, up to and including it.
Cost: O(log n + fork depth).';

create or replace function kata_data.message_at(context_id uuid, at bigint) returns setof kata_data.message
language sql stable rows 1
as $$
  select m.*
  from (
    select s.segment_id, s.first_version, s.last_version
    from kata_data.segments(message_at.context_id, 1, at) s
    order by s.first_version desc
    offset 0
  ) s
  cross join lateral (
    select m.*
    from kata_data.message m
    where m.segment_id = s.segment_id
      and m.version between s.first_version and s.last_version
    order by m.version desc
    limit 1
  ) m
  limit 1
$$;
comment on function kata_data.message_at(uuid, bigint) is
'The newest message of a path at or before a version; no row where there is none.

Cost: O(log n + fork depth).';

create or replace function kata_data.first_message(context_id uuid, versions int8multirange) returns bigint
language sql stable
as $$
  -- The loops nest in this order, so the first row is the lowest.
  select m.version
  from (select r.range from unnest(versions) r(range) order by r.range offset 0) r
  cross join lateral (
    select s.segment_id, s.first_version, s.last_version
    from kata_data.segments(first_message.context_id, lower(r.range), upper(r.range) - 1) s
    order by s.first_version
    offset 0
  ) s
  cross join lateral (
    select m.version
    from kata_data.message m
    where m.segment_id = s.segment_id
      and m.version between s.first_version and s.last_version
    order by m.version
    limit 1
  ) m
  limit 1
$$;
comment on function kata_data.first_message(uuid, int8multirange) is
'The lowest of some versions that a message took; null where none did.

Cost: O(log n + fork depth) where the first range holds a message.';
