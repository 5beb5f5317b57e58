-- The Gemini form: the preamble apart as systemInstruction, then contents of the user and the model.

create or replace function kata_data.gemini_prompt(
  context_id uuid, budget integer, at bigint, stable_step integer, tokenizer text,
  out prompt jsonb, out tokens bigint, out added_tokens bigint, out over_budget boolean
)
language plpgsql stable
as $$
declare
  v_turns record;
begin
  v_turns := kata_data.turns(context_id, budget, at, stable_step, tokenizer, 'gemini');
  tokens := v_turns.tokens;
  added_tokens := v_turns.added_tokens;
  over_budget := v_turns.over_budget;
  prompt := jsonb_build_object('contents', v_turns.turns)
    || case when v_turns.system is null then '{}' else jsonb_build_object('systemInstruction', jsonb_build_object('parts', v_turns.system)) end;
end
$$;
comment on function kata_data.gemini_prompt(uuid, integer, bigint, integer, text) is
'A prompt in the Gemini form. tokens, over_budget: of its window. added_tokens: at most so many that the form adds.';
