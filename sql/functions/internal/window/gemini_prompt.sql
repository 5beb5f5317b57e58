-- The Gemini form: the preamble apart as systemInstruction, then contents of the user and the model.

create or replace function kata_data.gemini_prompt(rows kata_data.window_row[], system text, thinking text) returns jsonb
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
comment on function kata_data.gemini_prompt(kata_data.window_row[], text, text) is 'A prompt in the Gemini form.';
