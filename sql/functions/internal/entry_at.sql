-- What stood at a version of a path: a look-up each, by which forks and usage know the past. A version may have no row in message, so
-- each takes the greatest one at or before it.

create or replace function kata_data.message_at(context_id uuid, at bigint) returns kata_data.message
language plpgsql stable
as $$
declare
  v_message kata_data.message;
begin
  select m.* into v_message
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
  limit 1;
  return v_message;
end
$$;
comment on function kata_data.message_at(uuid, bigint) is 'The newest message at or before a version of a context''s path; all null where there is none. Cost: O(log n + fork depth).';

create or replace function kata_data.totals_at(
  context_id uuid, at bigint, out message_count bigint, out raw_tokens bigint, out view_tokens bigint, out content_version bigint,
  out view_version bigint, out oldest_open_group bigint, out last_at timestamptz, out last_digest bytea
)
language plpgsql stable
as $$
declare
  v_message kata_data.message := kata_data.message_at(context_id, at);
  v_view kata_data.view_change := kata_data.view_at(context_id, at);
  v_is_change boolean := v_view.version > coalesce(v_message.version, 0);
begin
  -- After the last view change there are only messages.
  message_count := v_view.message_count + at - v_view.version;
  raw_tokens := coalesce(v_message.tokens_through, 0);
  view_tokens := v_view.view_tokens + raw_tokens - v_view.raw_tokens;
  content_version := greatest(v_message.version, v_view.content_version);
  view_version := nullif(v_view.version, 0);
  oldest_open_group := v_message.oldest_open_group;
  last_at := case when v_is_change then v_view.created_at else v_message.created_at end;
  last_digest := case when v_is_change then v_view.digest else v_message.digest end;
end
$$;
comment on function kata_data.totals_at(uuid, bigint) is
'What the head of a context was as of a version: how much it held, at which version a message was last appended or deleted, the newest view change (null:
none), the oldest open group, and time and digest of the newest entry (null: none).
Cost: O(log n + fork depth).';
