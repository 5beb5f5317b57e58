-- Renderer 1 of the Anthropic Messages form.

create or replace function kata_data.anthropic_1(rows kata_data.prompt_row[], system text, thinking text, hidden int8multirange) returns jsonb
language plpgsql immutable
as $$
begin
  return kata_data.form_of_rows(rows, 'anthropic', system, thinking, hidden);
end
$$;
comment on function kata_data.anthropic_1(kata_data.prompt_row[], text, text, int8multirange) is
'A prompt in the Anthropic Messages form.

hidden: versions whose thinking does not go out; null for none.';
