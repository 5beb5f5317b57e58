-- The rows of a window, in two ways. Where a window shows what was counted, as it was counted, versions number its rows and running
-- totals add them up, off by constants (numbered_messages): half the cost of counting. Else the rows are counted (counted_rows). Of a
-- preamble in other words, a system prompt that was amended, only its own rows are.

create or replace function kata_data.numbered_messages(
  context_id uuid, versions int8multirange, newest_group bigint, request bigint,
  preamble_end bigint, rest_start bigint, hidden_versions bigint, hidden_tokens bigint, request_total bigint, changes bigint[]
) returns setof kata_data.window_row
language sql stable rows 100
as $$
  select
    (case
       when m.version >= rest_start then m.version - hidden_versions
       when m.version > preamble_end then preamble_end + 1
       else m.version
     end - coalesce(width_bucket(m.version, changes), 0))::integer,
    m.version, m.version, m.role, m.content, m.token_count,
    case
      when m.version >= rest_start then m.tokens_through - hidden_tokens
      when m.version > preamble_end then request_total
      else m.tokens_through
    end,
    kata_data.window_reason('message', m.version, m.group_version, preamble_end, '{}', newest_group, request, null), false,
    m.tool_call_id, m.tool_name, m.tool_calls, m.model, m.metadata, m.created_at, 'message', m.name, m.parts, m.provider, m.group_version
  from kata_data.path_messages(numbered_messages.context_id, versions) m
$$;
comment on function kata_data.numbered_messages(
  uuid, int8multirange, bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint[]) is
'The messages of a window whose rows need not be counted, in no order.

preamble_end to changes: the numbering, field by field; a field of a row would be taken out of it for every message. Between preamble and
rest stands the request alone.';

create or replace function kata_data.numbered_summaries(summaries kata_data.placed_summary[], numbering kata_data.numbering)
returns setof kata_data.window_row
language sql stable rows 10
as $$
  select
    (numbering.preamble_end - coalesce(width_bucket(numbering.preamble_end, numbering.changes), 0) + y.ordinality)::integer,
    (y.summary).version, y.place, (y.summary).role, (y.summary).content, (y.summary).token_count, y.total, 'summary', false,
    null, null, null::jsonb, null, (y.summary).metadata, (y.summary).created_at, 'summary', null, null::jsonb, null::jsonb, (y.summary).version
  from unnest(summaries) with ordinality y
$$;
comment on function kata_data.numbered_summaries(kata_data.placed_summary[], kata_data.numbering) is
'The summaries of a window that need not be counted; they follow the preamble.';

create or replace function kata_data.counted_rows(
  context_id uuid, selection kata_data.selection, elisions bigint[], amendments bigint[], reworded int8multirange, covered int8multirange,
  measure kata_data.measure
) returns setof kata_data.window_row
language sql stable rows 100
as $$
  select (row_number() over w)::integer, m.version, m."position", m.role, m.content, m.token_count, sum(m.token_count) over w,
    kata_data.window_reason(m.kind, m.version, m.group_version, selection.preamble_end, selection.pinned_groups, selection.newest_group,
      selection.request, covered),
    selection.over_budget, m.tool_call_id, m.tool_name, m.tool_calls, m.model, m.metadata, m.created_at, m.kind, m.name, m.parts,
    m.provider, m.group_version
  from (
    select m.version, m.version as "position", m.role,
      case
        when (m.stub).content is not null then (m.stub).content
        when (m.amendment).change_id is not null then (m.amendment).content
        else m.content
      end as content,
      case
        when measure.tokenizer is null then coalesce((m.stub).token_count, (m.amendment).token_count, m.token_count)
        else coalesce(
          kata_data.padded_tokens(coalesce((m.stub).token_count, (m.amendment).token_count), measure.factor),
          (select c.token_count
           from kata_data.token_count c
           where c.segment_id = m.segment_id
             and c.version = m.version
             and c.tokenizer = measure.tokenizer),
          kata_data.padded_tokens(m.token_count, measure.factor))
      end as token_count,
      m.tool_call_id, m.tool_name,
      case when (m.amendment).change_id is null then m.tool_calls else (m.amendment).tool_calls end as tool_calls, m.model,
      case when (m.amendment).change_id is null then m.metadata else (m.amendment).metadata end as metadata, m.created_at,
      case
        when (m.stub).change_id is not null then 'stub'
        when (m.amendment).change_id is not null then 'amended'
        else 'message'
      end as kind,
      case when (m.amendment).change_id is null then m.name else (m.amendment).name end as name,
      case
        when (m.stub).change_id is not null then null
        -- Thinking is valid only behind the words that it was given for.
        when (m.amendment).change_id is not null then kata_data.without_own_thinking((m.amendment).parts)
        else m.parts
      end as parts,
      case when (m.amendment).change_id is null then m.provider else (m.amendment).provider end as provider, m.group_version
    from (
      select m.*,
        case when elisions <> '{}' and reworded @> m.version then (
          select s from kata_data.stub_of(m.segment_id, m.group_version, m.version, elisions, amendments) s) end as stub,
        case when amendments <> '{}' and reworded @> m.version then (
          select a from kata_data.amendment_of(m.segment_id, m.group_version, m.version, amendments) a) end as amendment
      from kata_data.path_messages(counted_rows.context_id, selection.versions) m
      offset 0
    ) m
    union all
    select (y.summary).version, y.place, (y.summary).role, (y.summary).content,
      kata_data.summary_tokens_in(y.summary, amendments, measure), null, null, null, null,
      (y.summary).metadata, (y.summary).created_at, 'summary', null, null, null, (y.summary).version
    from unnest(selection.summaries) y
  ) m
  window w as (order by m."position" rows unbounded preceding)
$$;
comment on function kata_data.counted_rows(
  uuid, kata_data.selection, bigint[], bigint[], int8multirange, int8multirange, kata_data.measure) is
'The rows of a window, counted one by one in reading order.

elisions, amendments, reworded, covered: of the selection, taken out once and not for every message.';

create or replace function kata_data.numbered_behind_preamble(context_id uuid, selection kata_data.selection) returns setof kata_data.window_row
language plpgsql stable rows 100
as $$
declare
  v_numbering kata_data.numbering := selection.numbering;
  v_preamble kata_data.selection := selection;
begin
  v_preamble.versions := int8multirange(int8range(1, v_numbering.preamble_end + 1));
  v_preamble.summaries := null;
  return query
  select m.* from kata_data.counted_rows(context_id, v_preamble, v_preamble.elisions, v_preamble.amendments, v_preamble.reworded, null, null) m;
  return query
  select m.* from kata_data.numbered_messages(
    context_id, selection.versions - v_preamble.versions, selection.newest_group, selection.request, v_numbering.preamble_end,
    v_numbering.rest_start, v_numbering.hidden_versions, v_numbering.hidden_tokens, v_numbering.request_total, v_numbering.changes) m;
  return query select y.* from kata_data.numbered_summaries(selection.summaries, v_numbering) y;
end
$$;
comment on function kata_data.numbered_behind_preamble(uuid, kata_data.selection) is
'The rows of a window whose preamble is counted, because other words are shown in it, while the others need not be; in no order.';

create or replace function kata_data.window_reason(
  kind text, version bigint, group_version bigint, preamble_end bigint, pinned_groups bigint[], newest_group bigint, request bigint,
  covered int8multirange
) returns text
language sql immutable
as $$
  select case
    when kind = 'summary' then case when version = newest_group then 'newest' else 'summary' end
    when version <= preamble_end then 'preamble'
    when group_version = any (pinned_groups) then 'pinned'
    when group_version = newest_group then 'newest'
    when version = request then 'request'
    when covered @> version then 'covered'
    else 'recent'
  end
$$;
comment on function kata_data.window_reason(text, bigint, bigint, bigint, bigint[], bigint, bigint, int8multirange) is 'Why a message is in a window.';
