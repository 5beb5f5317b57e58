-- The Gemini form: the preamble apart as systemInstruction, then contents of the user and the model.

create or replace function kata_data.gemini_1(
  rows kata_data.prompt_row[], system text, thinking text, hidden int8multirange default null, kind text default null
) returns jsonb
language plpgsql immutable
as $$
declare
  v_kind text := coalesce(kind, kata_data.usual_kind(rows, 'gemini'));
begin
  if v_kind <> 'general' then
    return kata_data.usual_gemini_prompt(rows, v_kind);
  end if;
  return kata_data.gemini_prompt(kata_data.prepared_rows(rows, 'gemini', hidden), system, thinking);
end
$$;
comment on function kata_data.gemini_1(kata_data.prompt_row[], text, text, int8multirange, text) is
'Renderer 1 of the Gemini form.

hidden: versions whose thinking does not go out; null for none. kind: what usual_kind has for these rows, or for others that they are some
groups of; null to look.';

create or replace function kata_data.gemini_prompt(rows kata_data.prompt_row[], system text, thinking text) returns jsonb
language plpgsql stable
as $$
declare
  v_turns record;
begin
  v_turns := kata_data.turns(rows, 'gemini', system, thinking);
  return jsonb_build_object('contents', v_turns.turns)
    || case when v_turns.preamble is null then '{}' else jsonb_build_object('systemInstruction', jsonb_build_object('parts', v_turns.preamble)) end;
end
$$;
comment on function kata_data.gemini_prompt(kata_data.prompt_row[], text, text) is 'A prompt in the Gemini form.';
