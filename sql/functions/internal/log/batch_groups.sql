-- Calls and results of a batch, message by message: which group each belongs to, and which calls are open after it.

create or replace function kata_data.batch_groups(head kata_data.head, messages jsonb, ids kata_data.batch_ids) returns kata_data.batch_groups
language plpgsql stable
as $$
declare
  v_draft record;
  v_version bigint;
  v_group bigint;
  v_group_tokens bigint;
  v_token_count integer;
  v_calls jsonb := head.open_calls;
  v_groups jsonb := head.open_groups;
  v_oldest bigint := head.oldest_open_group;
  -- Variables of their own: an element of an array within a composite value is set by copying the array.
  v_group_versions bigint[];
  v_all_group_tokens bigint[];
  v_oldest_groups bigint[];
  v_token_counts integer[];
begin
  for v_draft in
    select d.ordinality, d.content, d.token_count, d.tool_call_id, nullif(d.tool_calls, '[]') as tool_calls, d.parts, d.name, d.provider
    from rows from (
      jsonb_to_recordset(messages) as (
        content text, token_count integer, tool_call_id text, tool_calls jsonb, parts jsonb, name text, provider jsonb)
    ) with ordinality d
  loop
    v_version := head.version + v_draft.ordinality;
    if v_draft.tool_call_id is not null or v_draft.tool_calls is not null then
      v_token_count := v_draft.token_count;
      if v_token_count is null then
        v_token_count := kata_data.message_tokens(
          coalesce(v_draft.content, kata_data.parts_text(v_draft.parts)), v_draft.tool_calls, v_draft.parts, head.tokenizer, v_draft.name,
          v_draft.provider);
        v_token_counts[v_draft.ordinality] := v_token_count;
      end if;
    end if;
    if v_draft.tool_call_id is not null then
      v_group := kata_data.group_after(v_calls, v_draft.tool_call_id, v_version);
      if v_group < v_version then
        v_group_tokens := kata_data.group_tokens_after(v_groups, v_group, v_token_count);
        v_group_versions[v_draft.ordinality] := v_group;
        v_all_group_tokens[v_draft.ordinality] := v_group_tokens;
        v_calls := v_calls - v_draft.tool_call_id;
        v_groups := kata_data.open_groups_after(v_groups, v_calls, v_group, v_group_tokens);
        if v_group = v_oldest and not v_groups ? v_group::text then
          v_oldest := kata_data.oldest_group(v_groups);
        end if;
      elsif head.is_strict then
        perform kata_data.refuse_result(
          head,
          coalesce(ids.places[v_draft.ordinality], v_draft.ordinality), v_draft.tool_call_id,
          coalesce(cardinality(ids.versions), jsonb_array_length(messages)) = 1);
      end if;
    elsif v_draft.tool_calls is not null then
      v_calls := kata_data.open_calls_with(v_calls, v_draft.tool_calls, v_version);
      v_groups := v_groups || jsonb_build_object(v_version, v_token_count);
      v_oldest := coalesce(v_oldest, v_version);
    end if;
    v_oldest_groups[v_draft.ordinality] := v_oldest;
  end loop;
  return row(v_group_versions, v_all_group_tokens, v_oldest_groups, v_token_counts, v_calls, v_groups, v_oldest);
end
$$;
comment on function kata_data.batch_groups(kata_data.head, jsonb, kata_data.batch_ids) is
'The groups of the messages of a batch, and the calls that are open after it. KC004 a call id is open already, KC005 a result answers no
open call.

ids: of the batch as it was given, which errors number; null where no message has an external id.';

create or replace function kata_data.refuse_result(head kata_data.head, place bigint, tool_call_id text, is_alone boolean) returns void
language plpgsql stable
as $$
declare
  v_answer bigint;
begin
  v_answer := kata_data.answer_of(head, tool_call_id);
  raise exception using
    errcode = 'KC005',
    message = case when is_alone then 'the message' else format('message %s of the batch', place) end || ' answers no open call',
    detail = case
      when v_answer is null
        then format('No call "%s" is open: this path never made it, or has answered it already.', left(tool_call_id, 100))
      else format('The call "%s" has its result already, version %s.', left(tool_call_id, 100), v_answer)
    end,
    hint = case
      when v_answer is null then 'Append the assistant message with the call first; kata.get_context lists the open calls.'
      else format('Record a late or final result with kata.amend(context_id, %s, message).', v_answer)
    end;
end
$$;
comment on function kata_data.refuse_result(kata_data.head, bigint, text, boolean) is 'Refuses a result whose call is not open. KC005.';

create or replace function kata_data.answer_of(head kata_data.head, tool_call_id text) returns bigint
language plpgsql stable
as $$
declare
  v_view kata_data.view;
begin
  v_view := kata_data.view_of(head.context_id, head.version, head.view_version);
  return (
    select max(m.version)
    from kata_data.path_messages(
      head.context_id, int8multirange(int8range(head.version - 999, head.version, '[]')) - v_view.rewound - v_view.deleted) m
    where m.tool_call_id = answer_of.tool_call_id);
end
$$;
comment on function kata_data.answer_of(kata_data.head, text) is
'The result of a call among the last 1,000 versions; null where there is none. An error looks it up, no index does.';
