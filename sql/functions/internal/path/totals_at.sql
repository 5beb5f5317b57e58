-- What stood at a version of a path: a look-up each, by which forks and usage know the past. A version may have no row in message, so
-- each takes the greatest one at or before it.

create or replace function kata_data.totals_at(context_id uuid, at bigint)
returns table (
  message_count bigint, raw_tokens bigint, view_tokens bigint, content_version bigint, view_version bigint, oldest_open_group bigint,
  last_at timestamptz, last_digest bytea
)
language sql stable rows 1
as $$
  -- After the last view change there are only messages.
  select coalesce(c.message_count, 0) + at - coalesce(c.version, 0), coalesce(m.tokens_through, 0),
    coalesce(m.tokens_through, 0) + coalesce(c.view_tokens - c.raw_tokens, 0), greatest(m.version, c.content_version, 0), c.version,
    m.oldest_open_group,
    case when c.version > coalesce(m.version, 0) then c.created_at else m.created_at end,
    case when c.version > coalesce(m.version, 0) then c.digest else m.digest end
  from (values (true)) o(one)
  left join kata_data.message_at(totals_at.context_id, at) m on true
  left join kata_data.change_at(totals_at.context_id, at) c on true
$$;
comment on function kata_data.totals_at(uuid, bigint) is
'What the head of a context was as of a version: how much it held, at which version a message was last appended or deleted, the newest view change (null:
none), the oldest open group, and time and digest of the newest entry (null: none).
Cost: O(log n + fork depth).';
