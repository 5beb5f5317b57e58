-- Calls and results of a batch, message by message: which group each belongs to, and which calls are open after it.

create or replace function kata_data.batch_groups(head kata_data.head, messages jsonb, ids kata_data.batch_ids) returns kata_data.batch_groups
language plpgsql stable
as $$
declare
  v_all kata_data.batch_groups;
  v_draft record;
  v_group bigint;
  v_group_tokens bigint;
  v_token_count integer;
begin
  v_all.open_calls := head.open_calls;
  v_all.open_groups := head.open_groups;
  v_all.oldest_open_group := head.oldest_open_group;
  for v_draft in
    select d.ordinality, head.version + d.ordinality as version, d.content, d.token_count, d.tool_call_id, d.tool_calls, d.parts,
      d.name, d.provider
    from kata_data.batch_drafts(messages) d
    order by d.ordinality
  loop
    v_group := v_draft.version;
    v_group_tokens := null;
    v_token_count := v_draft.token_count;
    if v_draft.tool_call_id is not null then
      v_group := kata_data.group_after(v_all.open_calls, v_draft.tool_call_id, v_draft.version);
      if v_group < v_draft.version then
        v_token_count := coalesce(
          v_token_count, kata_data.message_tokens(
            v_draft.content, v_draft.tool_calls, v_draft.parts, head.tokenizer, v_draft.name, v_draft.provider));
        v_group_tokens := kata_data.group_tokens_after(v_all.open_groups, v_group, v_token_count);
        v_all.open_calls := v_all.open_calls - v_draft.tool_call_id;
        v_all.open_groups := kata_data.open_groups_after(v_all.open_groups, v_all.open_calls, v_group, v_group_tokens);
        if v_group = v_all.oldest_open_group and not v_all.open_groups ? v_group::text then
          v_all.oldest_open_group := kata_data.oldest_group(v_all.open_groups);
        end if;
      elsif head.is_strict then
        perform kata_data.refuse_result(
          coalesce(ids.places[v_draft.ordinality], v_draft.ordinality), v_draft.tool_call_id,
          coalesce(cardinality(ids.versions), jsonb_array_length(messages)) = 1);
      end if;
    elsif v_draft.tool_calls <> '[]' then
      v_token_count := coalesce(
        v_token_count, kata_data.message_tokens(
          v_draft.content, v_draft.tool_calls, v_draft.parts, head.tokenizer, v_draft.name, v_draft.provider));
      v_all.open_calls := kata_data.open_calls_with(v_all.open_calls, v_draft.tool_calls, v_draft.version);
      v_all.open_groups := v_all.open_groups || jsonb_build_object(v_draft.version, v_token_count);
      v_all.oldest_open_group := coalesce(v_all.oldest_open_group, v_draft.version);
    end if;
    v_all.group_versions[v_draft.ordinality] := v_group;
    v_all.group_tokens[v_draft.ordinality] := v_group_tokens;
    v_all.oldest_open_groups[v_draft.ordinality] := v_all.oldest_open_group;
    v_all.token_counts[v_draft.ordinality] := v_token_count;
  end loop;
  return v_all;
end
$$;
comment on function kata_data.batch_groups(kata_data.head, jsonb, kata_data.batch_ids) is
'The groups of the messages of a batch, and the calls that are open after it. KC004 a call id is open already, KC005 a result answers no
open call.

ids: of the batch as it was given, which errors number; null where no message has an external id.';

create or replace function kata_data.refuse_result(place bigint, tool_call_id text, is_alone boolean) returns void
language plpgsql stable
as $$
begin
  raise exception using
    errcode = 'KC005',
    message = case when is_alone then 'the message' else format('message %s of the batch', place) end || ' answers no open call',
    detail = format('No call "%s" is open: this path never made it, or has answered it already.', left(tool_call_id, 100)),
    hint = 'Append the assistant message with the call first; kata.get_context lists the open calls.';
end
$$;
comment on function kata_data.refuse_result(bigint, text, boolean) is 'Refuses a result whose call is not open. KC005.';
