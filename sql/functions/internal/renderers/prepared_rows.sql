-- Rows in the words that go out: recalled messages as one message of the user, a mark before summaries, no thinking that is hidden.

create or replace function kata_data.prepared_rows(rows kata_data.prompt_row[], format text, hidden int8multirange) returns kata_data.prompt_row[]
language plpgsql stable
as $$
declare
  v_block kata_data.prompt_row;
begin
  if hidden is null and not exists (select from unnest(rows) r where r.kind in ('summary', 'recalled')) then
    return rows;
  end if;
  v_block := kata_data.recalled_block(rows);
  return array(
    select row(
      r.version, r.group_version, r.place, r.kind, r.role,
      case
        when r.kind <> 'summary' then r.content
        -- The words of an assistant are not escaped elsewhere, but those of a summary are not its own.
        when r.role = 'assistant' and prepared_rows.format in ('anthropic', 'gemini')
          then kata_data.summary_text(r.role, kata_data.escape_system_tags(r.content))
        else kata_data.summary_text(r.role, r.content)
      end,
      r.name, r.tool_call_id, r.tool_calls, case when r.version <@ hidden then kata_data.without_words_of_thinking(r.parts) else r.parts end,
      case when r.version <@ hidden then r.provider - '{reasoning,reasoning_content,reasoning_details}'::text[] else r.provider end,
      r.created_at, null, null)::kata_data.prompt_row
    from unnest(rows) with ordinality r
    where r.kind <> 'recalled'
    order by r.ordinality)
    || case when v_block.content is not null then array[v_block] else '{}' end;
end
$$;
comment on function kata_data.prepared_rows(kata_data.prompt_row[], text, int8multirange) is
'Rows as they go out in a form, before they become its messages. hidden: versions whose thinking does not go out; null for none.';

create or replace function kata_data.summary_text(role text, content text) returns text
language sql immutable
as $$
  -- It quotes users and tools, whose words must not pass for the system's. The mark shows the model that the user did not say it.
  select case when role in ('user', 'assistant') then E'[summary of earlier messages]\n' || content else content end
$$;
comment on function kata_data.summary_text(text, text) is 'The text of a summary, with a mark where it has a role of the conversation.';

create or replace function kata_data.without_words_of_thinking(parts jsonb) returns jsonb
language sql immutable
as $$
  -- The parts stay, empty, because the places of calls among them are numbers.
  select case when parts @? '$[*] ? (@.type == "thinking" || @.type == "redacted_thinking" || @.type == "reasoning")' then (
    select jsonb_agg(case
      when p.part ->> 'type' in ('thinking', 'redacted_thinking', 'reasoning') then jsonb_build_object('type', p.part -> 'type')
      else p.part end order by p.ordinality)
    from jsonb_array_elements(parts) with ordinality p(part, ordinality))
  else parts end
$$;
comment on function kata_data.without_words_of_thinking(jsonb) is 'Parts whose thinking is empty, and so does not go out in any form.';
