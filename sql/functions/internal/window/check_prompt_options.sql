-- The options of a prompt.

create or replace function kata_data.check_prompt_options(format text, system text, thinking text) returns void
language plpgsql immutable
as $$
begin
  if coalesce(format, '') not in ('openai', 'responses', 'anthropic', 'gemini') then
    raise exception using
      errcode = 'KC017',
      message = pg_catalog.format('prompt format "%s" is unknown', coalesce(left(format, 100), 'null')),
      detail = 'It names the chat form of a provider.',
      hint = 'Pass openai, responses, anthropic or gemini.';
  elsif coalesce(system, '') not in ('wrapped', 'native', 'joined') then
    raise exception using
      errcode = 'KC017',
      message = pg_catalog.format('system "%s" is unknown', coalesce(left(system, 100), 'null')),
      detail = 'It says how system messages after the preamble go out.',
      hint = 'Pass wrapped, native or joined.';
  elsif format = 'gemini' and system = 'native' then
    raise exception using
      errcode = 'KC017',
      message = 'system "native" does not exist in the form gemini',
      detail = 'Its contents have the roles user and model only.',
      hint = 'Pass wrapped.';
  elsif thinking not in ('keep', 'drop', 'assume') then
    raise exception using
      errcode = 'KC017',
      message = pg_catalog.format('thinking "%s" is unknown', left(thinking, 100)),
      detail = 'It says which thinking of earlier answers goes out.',
      hint = 'Pass keep, drop or assume.';
  end if;
end
$$;
comment on function kata_data.check_prompt_options(text, text, text) is 'Refuses a form, or a way to send system messages or thinking, that prompt does not know. KC017.';
