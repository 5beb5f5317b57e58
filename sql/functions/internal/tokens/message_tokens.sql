-- Estimates for callers without a tokenizer. Everything that is sent counts: content, the names and arguments of tool calls, 1,500 for a
-- part that is not text, and 4 for the framing of the message.

create or replace function kata_data.message_tokens(content text, tool_calls jsonb, parts jsonb, tokenizer text) returns integer
language plpgsql stable
as $$
begin
  return least(4
    + ceil(
      (coalesce(kata_data.estimate_tokens(content), 0) + case when tool_calls is null then 0 else kata_data.tool_call_tokens(tool_calls) end)
      * case tokenizer when 'o200k_base' then 1 else kata_data.tokenizer_factor(tokenizer) end)
    + case when parts is null then 0 else 1500 * kata_data.opaque_parts(parts) end,
    2147483647);
end
$$;
comment on function kata_data.message_tokens(text, jsonb, jsonb, text) is
'An estimate, erring high, of the tokens that a message takes in a tokenizer.

Cost: linear in the length of the message.';

create or replace function kata_data.tool_call_tokens(tool_calls jsonb) returns bigint
language sql immutable
as $$
  select coalesce(sum(kata_data.estimate_tokens(c.call #>> '{function,name}') + kata_data.estimate_tokens(c.call #>> '{function,arguments}')), 0)
  from jsonb_array_elements(tool_calls) c(call)
$$;
comment on function kata_data.tool_call_tokens(jsonb) is 'An estimate of the tokens that tool calls take, in o200k_base.';

create or replace function kata_data.opaque_parts(parts jsonb) returns integer
language sql immutable
as $$
  select jsonb_array_length(jsonb_path_query_array(parts, 'strict $[*] ? (!(@.type like_regex "^(input_|output_)?text$"))'))
$$;
comment on function kata_data.opaque_parts(jsonb) is 'How many content parts are not text.';

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
