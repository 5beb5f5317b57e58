-- From a window to the renderers. They see rows of their own, so that what a window shows may change and a prompt does not. Most windows
-- show messages as they were appended: these go from the log into the rows of a prompt at once.

create or replace function kata_data.selected_rows(
  context_id uuid, at bigint, tokenizer text, view kata_data.view, selection kata_data.selection, measure kata_data.measure, budget integer,
  recall bigint[], recall_budget integer
) returns kata_data.prompt_row[]
language plpgsql stable
as $$
declare
  v_numbering kata_data.numbering := selection.numbering;
begin
  if recall <> '{}' and not selection.over_budget then
    return kata_data.prompt_rows(array(
      select row(m.*)::kata_data.window_row
      from kata_data.rows_with_recalled(
        selected_rows.context_id, selected_rows.at, tokenizer, view, selection, measure, budget, recall, recall_budget) m));
  elsif v_numbering.hidden_tokens is null then
    return kata_data.prompt_rows(array(
      select row(m.*)::kata_data.window_row
      from kata_data.counted_rows(
        selected_rows.context_id, selection, selection.elisions, selection.amendments, selection.reworded, selection.covered, measure) m));
  elsif selection.reworded && int8range(1, v_numbering.preamble_end + 1) then
    return kata_data.prompt_rows(array(
      select row(m.*)::kata_data.window_row from kata_data.numbered_behind_preamble(selected_rows.context_id, selection) m));
  elsif selection.summaries is null then
    return kata_data.whole_rows(context_id, selection.versions, v_numbering.preamble_end, selection.newest_group, selection.request);
  end if;
  return kata_data.whole_rows(context_id, selection.versions, v_numbering.preamble_end, selection.newest_group, selection.request)
    || kata_data.prompt_rows(array(
      select row(y.*)::kata_data.window_row from kata_data.numbered_summaries(selection.summaries, v_numbering) y));
end
$$;
comment on function kata_data.selected_rows(
  uuid, bigint, text, kata_data.view, kata_data.selection, kata_data.measure, integer, bigint[], integer) is
'The rows of a window as renderers take them, in no order.

tokenizer: the context''s. view: as of `at`. selection: what select_window has for it and the other parameters.';

create or replace function kata_data.whole_rows(
  context_id uuid, versions int8multirange, preamble_end bigint, newest_group bigint, request bigint
) returns kata_data.prompt_row[]
language plpgsql stable
as $$
begin
  return array(
    select row(
      m.version, m.group_version, m.group_version, case when m.version <= preamble_end then 'preamble' else 'message' end, m.role, m.content,
      m.name, m.tool_call_id, m.tool_calls, m.parts, m.provider, null,
      kata_data.window_reason('message', m.version, m.group_version, preamble_end, '{}', newest_group, request, null),
      m.token_count)::kata_data.prompt_row
    from kata_data.path_messages(whole_rows.context_id, versions) m);
end
$$;
comment on function kata_data.whole_rows(uuid, int8multirange, bigint, bigint, bigint) is
'Messages of a path in their own words as renderers take them, in no order. The other parameters are those of window_reason.';

create or replace function kata_data.prompt_rows(rows kata_data.window_row[]) returns kata_data.prompt_row[]
language plpgsql stable
as $$
begin
  return array(
    select row(
      r.version, r.group_version, case when r.kind = 'summary' or r.reason = 'recalled' then r."position" else r.group_version end,
      case when r.reason in ('recalled', 'preamble') then r.reason when r.kind = 'summary' then r.kind else 'message' end, r.role, r.content,
      case when r.reason = 'recalled' then coalesce(r.name, r.tool_name) else r.name end, r.tool_call_id, r.tool_calls, r.parts, r.provider,
      case when r.reason = 'recalled' then r.created_at end, r.reason, r.token_count)::kata_data.prompt_row
    from unnest(rows) r);
end
$$;
comment on function kata_data.prompt_rows(kata_data.window_row[]) is 'The rows of a window as renderers take them.';
