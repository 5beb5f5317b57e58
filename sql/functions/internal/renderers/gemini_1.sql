-- Renderer 1 of the Gemini form.

create or replace function kata_data.gemini_1(rows kata_data.prompt_row[], system text, thinking text, hidden int8multirange) returns jsonb
language plpgsql immutable
as $$
begin
  return kata_data.form_of_rows(rows, 'gemini', system, thinking, hidden);
end
$$;
comment on function kata_data.gemini_1(kata_data.prompt_row[], text, text, int8multirange) is
'A prompt in the Gemini form.

hidden: versions whose thinking does not go out; null for none.';
