-- Estimates for callers without a tokenizer. Everything that is sent counts: the name, content or parts, the names and arguments of tool
-- calls, the fields that go back to the provider, and 4 for the framing of the message.

create or replace function kata_data.message_tokens(
  content text, tool_calls jsonb, parts jsonb, tokenizer text, name text default null, provider jsonb default null
) returns integer
language plpgsql stable
as $$
declare
  v_factor double precision := 1;
  v_texts bigint;
  v_others bigint := 0;
begin
  -- Most messages: a text and nothing else.
  if num_nonnulls(tool_calls, parts, name, provider) = 0 and tokenizer = 'o200k_base' then
    return least(4 + coalesce(kata_data.estimate_tokens(content)::bigint, 0), 2147483647);
  end if;
  if tokenizer <> 'o200k_base' then
    v_factor := kata_data.tokenizer_factor(tokenizer);
  end if;
  if kata_data.has_elements(parts) then
    select coalesce(sum(kata_data.text_tokens(a.content, v_factor)), 0), coalesce(sum(a.tokens), 0) into v_texts, v_others
    from kata_data.sent_amounts(parts) a;
    -- Parts go out instead of the content, which mostly is their text; the content goes out where no part can.
    if content <> kata_data.parts_text(parts) is not false then
      v_texts := greatest(v_texts, kata_data.text_tokens(content, v_factor) - v_others);
    end if;
  else
    v_texts := coalesce(kata_data.text_tokens(content, v_factor), 0);
  end if;
  if provider is not null then
    select v_texts + coalesce(sum(kata_data.text_tokens(a.content, v_factor)), 0), v_others + coalesce(sum(a.tokens), 0) into v_texts, v_others
    from kata_data.sent_amounts(kata_data.sent_fields(provider)) a;
  end if;
  if tool_calls is not null then
    v_texts := v_texts + kata_data.tool_call_tokens(tool_calls, v_factor);
  end if;
  if name is not null then
    v_texts := v_texts + kata_data.text_tokens(name, v_factor);
  end if;
  return least(4 + v_texts + v_others, 2147483647);
end
$$;
comment on function kata_data.message_tokens(text, jsonb, jsonb, text, text, jsonb) is
'An estimate, erring high, of the tokens that a message takes in a tokenizer.

Cost: linear in the length of the message.';

create or replace function kata_data.tool_call_tokens(tool_calls jsonb, factor double precision) returns bigint
language sql immutable
as $$
  select coalesce(sum(
    coalesce(kata_data.text_tokens(kata_data.call_name(c.call), factor), 0)
    + coalesce(kata_data.text_tokens(kata_data.call_arguments(c.call), factor), 0)), 0)
  from jsonb_array_elements(tool_calls) c(call)
$$;
comment on function kata_data.tool_call_tokens(jsonb, double precision) is 'An estimate of the tokens that tool calls take. factor: as of text_tokens.';

create or replace function kata_data.text_tokens(content text, factor double precision) returns bigint
language plpgsql immutable strict parallel safe
as $$
declare
  v_estimate bigint;
  v_more integer;
begin
  if factor = 1 then
    return kata_data.estimate_tokens(content);
  end if;
  v_estimate := kata_data.estimate_tokens(content, 150);
  v_more := octet_length(content) - length(content);
  if v_more = 0 then
    return ceil(v_estimate * factor);
  end if;
  -- Armenian and Oriya take a token per byte, Cyrillic one per two letters.
  v_more := v_more + regexp_count(content collate "C", E'[\u0530-\u058F\u0B00-\u0B7F]') - regexp_count(content collate "C", E'[\u0400-\u045F]') / 4;
  return ceil(greatest(
    v_estimate * factor,
    1.15 * v_more + v_estimate * factor * (1 - least(1, 1.5 * v_more / octet_length(content)))));
end
$$;
comment on function kata_data.text_tokens(text, double precision) is
'An estimate of the tokens of a text in a tokenizer that takes so many tokens for one of o200k_base; 1 for o200k_base itself.

Other tokenizers know other languages less: one token per byte of a character after its first, more or less.';

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
