-- Estimates for callers without a tokenizer. Everything that is sent counts: the name, content or parts, the names and arguments of tool
-- calls, the fields that go back to the provider, and 4 for the framing of the message.

create or replace function kata_data.message_tokens(
  content text, tool_calls jsonb, parts jsonb, tokenizer text, name text default null, provider jsonb default null
) returns integer
language plpgsql stable
as $$
declare
  v_texts bigint;
  v_others bigint := 0;
begin
  if kata_data.has_elements(parts) then
    select coalesce(sum(kata_data.estimate_tokens(a.content)), 0), coalesce(sum(a.tokens), 0) into v_texts, v_others
    from kata_data.sent_amounts(parts) a;
    -- Parts go out instead of the content, which mostly is their text; the content goes out where no part can.
    if content <> kata_data.parts_text(parts) is not false then
      v_texts := greatest(v_texts, kata_data.estimate_tokens(content) - v_others);
    end if;
  else
    v_texts := coalesce(kata_data.estimate_tokens(content), 0);
  end if;
  if provider is not null then
    select v_texts + coalesce(sum(kata_data.estimate_tokens(a.content)), 0), v_others + coalesce(sum(a.tokens), 0) into v_texts, v_others
    from kata_data.sent_amounts(kata_data.sent_fields(provider)) a;
  end if;
  if tool_calls is not null then
    v_texts := v_texts + kata_data.tool_call_tokens(tool_calls);
  end if;
  if name is not null then
    v_texts := v_texts + kata_data.estimate_tokens(name);
  end if;
  return least(
    4 + ceil(v_texts * case tokenizer when 'o200k_base' then 1 else kata_data.tokenizer_factor(tokenizer) end) + v_others, 2147483647);
end
$$;
comment on function kata_data.message_tokens(text, jsonb, jsonb, text, text, jsonb) is
'An estimate, erring high, of the tokens that a message takes in a tokenizer.

Cost: linear in the length of the message.';

create or replace function kata_data.tool_call_tokens(tool_calls jsonb) returns bigint
language sql immutable
as $$
  select coalesce(sum(
    coalesce(kata_data.estimate_tokens(coalesce(c.call #>> '{function,name}', c.call #>> '{custom,name}')), 0)
    + coalesce(kata_data.estimate_tokens(coalesce(c.call #>> '{function,arguments}', c.call #>> '{custom,input}')), 0)), 0)
  from jsonb_array_elements(tool_calls) c(call)
$$;
comment on function kata_data.tool_call_tokens(jsonb) is 'An estimate of the tokens that tool calls take, in o200k_base.';

create or replace function kata_data.tokenizer_factor(tokenizer text) returns double precision
language sql stable
as $$
  select case tokenizer when 'o200k_base' then 1 else (
    select o.bytes_per_token / t.bytes_per_token * (1 + t.margin)
    from kata_data.tokenizer o, kata_data.tokenizer t
    where o.name = 'o200k_base' and t.name = tokenizer_factor.tokenizer)
  end
$$;
comment on function kata_data.tokenizer_factor(text) is
'The factor by which estimates, made in o200k_base, are converted to a tokenizer, padded.';
