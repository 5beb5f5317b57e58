-- One place that knows the forms.

create or replace function kata_data.formatted_prompt(
  context_id uuid, budget integer, format text, at bigint, stable_step integer, tokenizer text,
  out prompt jsonb, out tokens bigint, out added_tokens bigint, out over_budget boolean
)
language plpgsql stable
as $$
begin
  case format
    when 'openai' then
      select p.prompt, p.tokens, p.added_tokens, p.over_budget into strict prompt, tokens, added_tokens, over_budget
      from kata_data.openai_prompt(context_id, budget, at, stable_step, tokenizer) p;
    when 'responses' then
      select p.prompt, p.tokens, p.added_tokens, p.over_budget into strict prompt, tokens, added_tokens, over_budget
      from kata_data.responses_prompt(context_id, budget, at, stable_step, tokenizer) p;
    when 'anthropic' then
      select p.prompt, p.tokens, p.added_tokens, p.over_budget into strict prompt, tokens, added_tokens, over_budget
      from kata_data.anthropic_prompt(context_id, budget, at, stable_step, tokenizer) p;
    when 'gemini' then
      select p.prompt, p.tokens, p.added_tokens, p.over_budget into strict prompt, tokens, added_tokens, over_budget
      from kata_data.gemini_prompt(context_id, budget, at, stable_step, tokenizer) p;
  end case;
end
$$;
comment on function kata_data.formatted_prompt(uuid, integer, text, bigint, integer, text) is
'A prompt in a form, and the tokens of its window.

tokens: null for an empty one. added_tokens: at most so many that the form adds, in o200k_base.';

create or replace function kata_data.added_factor(context_id uuid, tokenizer text) returns double precision
language plpgsql stable
as $$
begin
  return kata_data.tokenizer_factor(coalesce(tokenizer, (
    select c.tokenizer
    from kata_data.context c
    where c.context_id = added_factor.context_id)));
end
$$;
comment on function kata_data.added_factor(uuid, text) is 'The factor by which tokens that a form adds are converted to the tokenizer of a prompt.';
