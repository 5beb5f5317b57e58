-- The Anthropic Messages form: the preamble apart as system, a text unless it came in parts, then turns.

create or replace function kata_data.anthropic_1(
  rows kata_data.prompt_row[], system text, thinking text, hidden int8multirange default null, kind text default null
) returns jsonb
language plpgsql immutable
as $$
declare
  v_kind text := coalesce(kind, kata_data.usual_kind(rows, 'anthropic'));
  v_prompt jsonb;
begin
  if v_kind <> 'general' then
    v_prompt := kata_data.usual_anthropic_prompt(rows, v_kind);
  else
    v_prompt := kata_data.anthropic_prompt(kata_data.prepared_rows(rows, 'anthropic', hidden), system, thinking);
  end if;
  return kata_data.without_trailing_space(v_prompt);
end
$$;
comment on function kata_data.anthropic_1(kata_data.prompt_row[], text, text, int8multirange, text) is
'Renderer 1 of the Anthropic Messages form.

hidden: versions whose thinking does not go out; null for none. kind: what usual_kind has for these rows, or for others that they are some
groups of; null to look.';

create or replace function kata_data.anthropic_prompt(rows kata_data.prompt_row[], system text, thinking text) returns jsonb
language plpgsql stable
as $$
declare
  v_turns record;
begin
  v_turns := kata_data.turns(rows, 'anthropic', system, thinking);
  return kata_data.limit_system_marks(
    case
      when v_turns.has_parts then coalesce(v_turns.preamble, '""')
      else to_jsonb(kata_data.joined_texts(v_turns.preamble))
    end,
    kata_data.pair_server_calls(v_turns.turns));
end
$$;
comment on function kata_data.anthropic_prompt(kata_data.prompt_row[], text, text) is 'A prompt in the Anthropic Messages form.';

create or replace function kata_data.joined_texts(blocks jsonb) returns text
language sql immutable
as $$
  select coalesce(string_agg(b.block ->> 'text', E'\n\n' order by b.ordinality), '')
  from jsonb_array_elements(blocks) with ordinality b(block, ordinality)
$$;
comment on function kata_data.joined_texts(jsonb) is 'The texts of blocks as one, a blank line between two; empty for none.';

create or replace function kata_data.without_trailing_space(prompt jsonb) returns jsonb
language sql immutable
as $$
  select case
    when prompt #>> '{messages,-1,role}' = 'assistant' and prompt #>> '{messages,-1,content,-1,type}' = 'text'
      and right(prompt #>> '{messages,-1,content,-1,text}', 1) = any (string_to_array(kata_data.white_space(), null))
    then jsonb_set(prompt, '{messages,-1,content,-1,text}', to_jsonb(rtrim(prompt #>> '{messages,-1,content,-1,text}', kata_data.white_space())))
    else prompt end
$$;
comment on function kata_data.without_trailing_space(jsonb) is
'A prompt whose last turn, if it is the assistant''s, does not end with white space: the provider refuses it.';
