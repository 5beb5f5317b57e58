-- The conditions that the three look-ups of append_message share. Inlined, and reduced to the columns that it reads: it costs as much as
-- the conditions written out. Declared immutable, as it is: a volatile function is not inlined.

create or replace function kata_data.appends_plainly(head kata_data.head, token_count integer) returns boolean
language sql immutable
as $$
  select not head.closed and not head.notifies
    and (head.due_at is not null
      or (head.view_tokens + token_count >= head.due_tokens or head.message_count + 1 >= head.due_messages) is not true)
$$;
comment on function kata_data.appends_plainly(kata_data.head, integer) is
'Whether a message of so many tokens changes nothing but the log and the totals: the context is open, notifies no listener, and compaction
does not become due by it.';
