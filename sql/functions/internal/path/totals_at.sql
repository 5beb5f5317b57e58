-- The head of a context as of a version, by two look-ups: the newest message and the newest view change at or before it. Forks and
-- usage read the past with it.

create or replace function kata_data.totals_at(context_id uuid, at bigint)
returns table (
  message_count bigint, raw_tokens bigint, view_tokens bigint, content_version bigint, view_version bigint, oldest_open_group bigint,
  turn_version bigint, last_at timestamptz, last_digest bytea, rewound int8multirange, tools_tokens integer
)
language sql stable rows 1
as $$
  -- After the last view change there are only messages.
  select coalesce(c.message_count, 0) + at - coalesce(c.version, 0), coalesce(m.tokens_through, 0),
    coalesce(m.tokens_through, 0) + coalesce(c.view_tokens - c.raw_tokens, 0), greatest(m.version, c.content_version, 0), c.version,
    case when c.version > coalesce(m.version, 0) then c.oldest_open_group else m.oldest_open_group end,
    case when c.version > coalesce(m.version, 0) then c.turn_version else m.turn_version end,
    case when c.version > coalesce(m.version, 0) then c.created_at else m.created_at end,
    case when c.version > coalesce(m.version, 0) then c.digest else m.digest end,
    coalesce(c.rewound, '{}'), c.tools_tokens
  from (values (true)) o(one)
  left join kata_data.message_at(totals_at.context_id, at) m on true
  left join kata_data.change_at(totals_at.context_id, at) c on true
$$;
comment on function kata_data.totals_at(uuid, bigint) is
'The fields of a context''s head as of a version.

content_version: at which a message was last appended or deleted. view_version: the newest view change, null for none. last_at, last_digest:
of the newest entry, null for none. rewound: of the view. tools_tokens: of the tools in force, null for none.
Cost: O(log n + fork depth).';
