-- The stored head is compared with the one that the log leads to.

create or replace function kata_data.verify_head(head kata_data.head, expected kata_data.head, view kata_data.view)
returns setof kata_data.finding
language plpgsql stable rows 1
as $$
declare
  v_expected kata_data.head := expected;
begin
  if expected.version < head.version then
    return next kata_data.rows_gone(expected.version + 1, head.version);
  end if;
  -- From the messages themselves, not from the totals of the changes before.
  v_expected.view_tokens := kata_data.shown_tokens(head.context_id, kata_data.visible_at(view, head.version), view.elisions, view.amendments)
    + kata_data.summary_tokens(head.context_id, view.replacements, view.amendments);
  if (head.message_count, head.raw_tokens, head.view_tokens, head.content_version, head.preamble_end, head.view_version, head.turn_version,
      head.framed_request)
    is distinct from (
      v_expected.message_count, v_expected.raw_tokens, v_expected.view_tokens, v_expected.content_version, v_expected.preamble_end,
      v_expected.view_version, v_expected.turn_version, v_expected.framed_request)
    or head.last_at < v_expected.last_at
    -- A fork takes it from its parent, where the preamble may have been set back after the fork.
    or v_expected.has_older_preamble and not head.has_older_preamble
    or (head.tenant, head.tokenizer, head.closed, head.is_strict, head.notifies, head.summarizes)
      is distinct from (v_expected.tenant, v_expected.tokenizer, v_expected.closed, v_expected.is_strict, v_expected.notifies,
        v_expected.summarizes) then
    return next kata_data.differs(null, 'head counters', kata_data.head_counters(head), kata_data.head_counters(v_expected));
  end if;
  if (head.open_calls, head.open_groups, head.oldest_open_group)
    is distinct from (v_expected.open_calls, v_expected.open_groups, v_expected.oldest_open_group) then
    return next kata_data.differs(null, 'open calls', head.open_calls::text, v_expected.open_calls::text);
  end if;
  if head.last_digest <> v_expected.last_digest then
    return next row(null, 'digest', 'The head does not end the chain of digests.')::kata_data.finding;
  end if;
end
$$;
comment on function kata_data.verify_head(kata_data.head, kata_data.head, kata_data.view) is
'Damage in a head, given the expected one and the view as of the newest version.

Cost: O(messages in view).';

create or replace function kata_data.head_counters(head kata_data.head) returns text
language sql stable
as $$
  select concat_ws(', ', head.message_count || ' messages', head.raw_tokens || ' tokens', head.view_tokens || ' in view',
    'content version ' || head.content_version, 'preamble to ' || head.preamble_end, 'view version ' || head.view_version, 'turn ' || head.turn_version,
    'requests framed to ' || head.framed_request,
    case when head.has_older_preamble then 'older preamble' end,
    'last at ' || head.last_at, 'tenant ' || head.tenant, 'tokenizer ' || head.tokenizer,
    case when head.closed then 'closed' end, case when head.is_strict then 'strict' end, case when head.notifies then 'notifying' end,
    case when head.summarizes then 'summarized' end)
$$;
comment on function kata_data.head_counters(kata_data.head) is 'The counters and settings of a head, in words; those that are null are left out.';
