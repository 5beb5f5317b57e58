-- Recalled messages. They come as one block directly before the user's last request, or before the rest where that is not shown: all
-- that comes before is the same for a provider's prompt cache whatever is recalled, and no turn of tools is cut. Their budget is taken off
-- before the rest is chosen, whether or not it is used, so that the start of the rest does not depend on what is recalled either.
--
-- Message by message they count at least what prompt renders (recalled_block): their own tokens, the tags, what escaping adds. A long
-- result of a tool is cut after a number of characters, so that the cut does not depend on a tokenizer.

create or replace function kata_data.recall_room(context_id uuid, recall bigint[], recall_budget integer, budget integer, at bigint) returns integer
language plpgsql stable
as $$
declare
  v_version bigint;
begin
  if recall_budget < 0 then
    raise exception using
      errcode = 'KC017',
      message = 'recall_budget must not be negative',
      detail = format('It is %s.', recall_budget),
      hint = 'Pass how many tokens recalled messages may take, or null for an eighth of the budget, at most 2,000.';
  end if;
  perform kata_data.check_list('recall', cardinality(recall));
  foreach v_version in array coalesce(recall, '{}')
  loop
    if (v_version between 1 and at) is not true then
      raise exception using
        errcode = 'KC002',
        message = format('version %s not found', coalesce(v_version::text, 'null')),
        detail = format('The path of context %s has versions 1 to %s.', context_id, at),
        hint = 'Recall versions that kata.recall or kata.search returns for this context as of this version.';
    end if;
  end loop;
  return coalesce(recall_budget, least(budget / 8, 2000));
end
$$;
comment on function kata_data.recall_room(uuid, bigint[], integer, integer, bigint) is
'The tokens to keep for recalled messages, for null an eighth of the budget, at most 2,000. KC002 a version that the path has not, KC017.';

create or replace function kata_data.rows_with_recalled(
  context_id uuid, at bigint, tokenizer text, view kata_data.view, selection kata_data.selection, measure kata_data.measure, budget integer,
  recall bigint[], recall_budget integer
) returns setof kata_data.window_row
language plpgsql stable
as $$
declare
  v_rows kata_data.window_row[];
  v_shown int8multirange;
  v_tokens bigint;
  v_place bigint;
begin
  v_rows := array(
    select m
    from kata_data.counted_rows(
      rows_with_recalled.context_id, selection, selection.elisions, selection.amendments, selection.reworded, selection.covered, measure) m);
  select
    coalesce(range_agg(int8range(r.version, r.version, '[]')) filter (where r.kind <> 'summary'), '{}'), coalesce(sum(r.token_count), 0),
    coalesce(
      min(r.version) filter (where r.kind <> 'summary' and r.version = selection.request),
      min(r.group_version) filter (where r.kind <> 'summary'
        and (r.reason in ('newest', 'covered', 'recent') or (r.group_version = selection.newest_group and r.reason = 'pinned'))),
      rows_with_recalled.at + 1)
  into v_shown, v_tokens, v_place
  from unnest(v_rows) r;
  v_rows := v_rows || array(
    select c
    from kata_data.recalled_rows(
      rows_with_recalled.context_id, rows_with_recalled.at, tokenizer, measure, recall,
      kata_data.silent_versions(rows_with_recalled.context_id, rows_with_recalled.at, kata_data.hidden(view)) + v_shown, v_place,
      least(recall_budget, budget - v_tokens)) c);
  return query
  select (row_number() over w)::integer, r.version, r."position", r.role, r.content, r.token_count, sum(r.token_count) over w,
    r.reason, r.over_budget, r.tool_call_id, r.tool_name, r.tool_calls, r.model, r.metadata, r.created_at, r.kind, r.name, r.parts, r.provider,
    r.group_version
  from unnest(v_rows) r
  window w as (order by r."position", r.reason = 'recalled' desc, r.version rows unbounded preceding);
end
$$;
comment on function kata_data.rows_with_recalled(
  uuid, bigint, text, kata_data.view, kata_data.selection, kata_data.measure, integer, bigint[], integer) is
'The rows of a window with those that are recalled, numbered, in reading order.

The rest has left their room. tokenizer: the context''s. budget: of the whole window; recall_budget: of what is recalled.
Cost: O(rows + recalled groups × fork depth + erasures of the path).';

create or replace function kata_data.recalled_rows(
  context_id uuid, at bigint, tokenizer text, measure kata_data.measure, recall bigint[], hidden int8multirange, place bigint, room bigint
) returns setof kata_data.window_row
language plpgsql stable
as $$
declare
  v_factor double precision;
  v_frame integer;
  v_left bigint;
  v_group bigint;
  v_rows kata_data.window_row[];
  v_members kata_data.window_row[];
  v_tokens bigint;
  v_view kata_data.view;
  v_versions int8multirange;
  v_amendments bigint[];
begin
  v_view := kata_data.view_at(context_id, at);
  v_factor := kata_data.tokenizer_factor(tokenizer) * coalesce(measure.factor, 1);
  -- The tags of the block, and the message that holds it.
  v_frame := ceil(16 * v_factor);
  v_left := room - v_frame;
  for v_group in
    select m.group_version
    from unnest(recall) with ordinality r(version, ordinality)
    cross join lateral kata_data.path_messages(recalled_rows.context_id, int8multirange(int8range(r.version, r.version, '[]'))) m
    where not hidden @> r.version
    group by m.group_version
    order by min(r.ordinality)
  loop
    -- No message takes less (recalled_row).
    exit when v_left < ceil(48 * v_factor);
    v_versions := kata_data.group_members(context_id, array[v_group], at, hidden);
    v_amendments := kata_data.amendments_at(context_id, v_view, v_versions, at);
    select array_agg(c.recalled order by (c.recalled).version), sum((c.recalled).token_count) into v_members, v_tokens
    from (
      select kata_data.recalled_row(kata_data.amended(m, a), place, v_factor, measure, a.change_id is not null) as recalled
      from kata_data.path_messages(recalled_rows.context_id, v_versions) m
      left join lateral kata_data.amendment_of(m.segment_id, m.group_version, m.version, v_amendments) a on true
      offset 0
    ) c;
    if v_tokens <= v_left then
      v_left := v_left - v_tokens;
      v_rows := v_rows || v_members;
    end if;
  end loop;
  return query
  select r.ordinal, r.version, r."position", r.role, r.content,
    r.token_count + case when r.version = min(r.version) over () then v_frame else 0 end,
    r.running_tokens, r.reason, r.over_budget, r.tool_call_id, r.tool_name, r.tool_calls, r.model, r.metadata, r.created_at, r.kind, r.name,
    r.parts, r.provider, r.group_version
  from unnest(v_rows) r;
end
$$;
comment on function kata_data.recalled_rows(uuid, bigint, text, kata_data.measure, bigint[], int8multirange, bigint, bigint) is
'The rows of recalled messages, by whole groups, in no order and not numbered.

Those first in recall go first; a group that does not fit is left out, and the next is tried. hidden: versions that do not come. place: the position of the block. room: the tokens that it may take.';

create or replace function kata_data.recalled_row(
  message kata_data.message, place bigint, factor double precision, measure kata_data.measure, is_amended boolean
) returns kata_data.window_row
language plpgsql stable
as $$
declare
  v_row kata_data.window_row;
  v_plain text;
begin
  -- As the renderers have it.
  v_row.content := kata_data.recalled_text(message.role, message.content, message.parts);
  v_row.token_count := coalesce(
    case when measure.tokenizer is not null and not is_amended then (
      select c.token_count
      from kata_data.token_count c
      where c.segment_id = message.segment_id
        and c.version = message.version
        and c.tokenizer = measure.tokenizer) end,
    kata_data.padded_tokens(message.token_count, coalesce(measure.factor, 1)));
  v_row.kind := 'message';
  if message.role = 'tool' and length(v_row.content) > 800 then
    v_row.token_count := least(v_row.token_count, ceil(kata_data.estimate_tokens(v_row.content) * factor));
    v_row.kind := 'stub';
  end if;
  v_row.version := message.version;
  v_row."position" := place;
  v_row.role := message.role;
  v_row.reason := 'recalled';
  v_row.over_budget := false;
  v_row.tool_call_id := message.tool_call_id;
  v_row.tool_name := message.tool_name;
  v_row.tool_calls := message.tool_calls;
  v_row.model := message.model;
  v_row.metadata := message.metadata;
  v_row.created_at := message.created_at;
  v_row.name := message.name;
  v_row.group_version := message.group_version;
  v_plain := kata_data.recalled_words(v_row.content, v_row.tool_calls);
  -- The tags with version, role and time; escaped characters; the speaker, in bytes; the marks around each call.
  v_row.token_count := least(2147483647, v_row.token_count + ceil(factor * (
    48 + 2 * (length(kata_data.escaped(v_plain)) - length(v_plain))
    + coalesce(octet_length(kata_data.escaped(coalesce(v_row.name, v_row.tool_name))), 0)
    + case when v_row.tool_calls is null then 0 else 4 * jsonb_array_length(v_row.tool_calls) end)));
  return v_row;
end
$$;
comment on function kata_data.recalled_row(kata_data.message, bigint, double precision, kata_data.measure, boolean) is
'A recalled message in the words in force, with at least the tokens that it takes in its block.

Only text comes; a long result is cut. factor: from o200k_base to the tokenizer that counts. is_amended: no stored count is of these words.';
