-- The rows of a window whose start is planned. Apart from kata.window, which knows no plan.

create or replace function kata_data.planned_rows(
  context_id uuid, budget integer, at bigint, tokenizer text, recall bigint[], recall_budget integer, plan kata_data.plan
) returns setof kata_data.window_row
language plpgsql stable
as $$
declare
  v_context record;
  v_measure kata_data.measure;
  v_view kata_data.view;
  v_window kata_data.selection;
  v_numbering kata_data.numbering;
begin
  v_context := kata_data.open_context(context_id, at);
  if tokenizer is not null and tokenizer <> v_context.tokenizer and kata_data.tokenizer_of(tokenizer) is distinct from v_context.tokenizer then
    v_measure := kata_data.measure_in(v_context.tokenizer, tokenizer);
  end if;
  if v_context.at = 0 then
    return;
  end if;
  v_view := kata_data.view_of(context_id, v_context.at, v_context.view_version);
  v_window := kata_data.select_window(
    context_id, v_context.at, v_context.preamble_end, v_view, budget, 0, v_measure, coalesce(recall_budget, 0), plan);
  v_numbering := v_window.numbering;
  if recall <> '{}' and not v_window.over_budget then
    return query
    select m.* from kata_data.rows_with_recalled(
      context_id, v_context.at, v_context.tokenizer, v_view, v_window, v_measure, budget, recall, recall_budget) m;
  elsif v_numbering.hidden_tokens is null then
    return query
    select m.* from kata_data.counted_rows(
      context_id, v_window, v_window.elisions, v_window.amendments, v_window.reworded, v_window.covered, v_measure) m;
  elsif v_window.reworded && int8range(1, v_numbering.preamble_end + 1) then
    return query
    select m.* from kata_data.numbered_behind_preamble(context_id, v_window) m;
  else
    return query
    select m.* from kata_data.numbered_messages(
      context_id, v_window.versions, v_window.newest_group, v_window.request, v_numbering.preamble_end, v_numbering.rest_start,
      v_numbering.hidden_versions, v_numbering.hidden_tokens, v_numbering.request_total, v_numbering.changes) m
    union all
    select y.* from kata_data.numbered_summaries(v_window.summaries, v_numbering) y;
  end if;
end
$$;
comment on function kata_data.planned_rows(uuid, integer, bigint, text, bigint[], integer, kata_data.plan) is
'The rows of a window whose start is planned, in no order; their ordinals say it.

The other parameters are those of kata.window. Cost: as there.';
