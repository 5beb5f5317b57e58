-- Callers know the model that they use, not always its tokenizer. A registered name is taken as it is.

create or replace function kata_data.tokenizer_of(name text) returns text
language plpgsql stable
as $$
declare
  -- Behind the names of a provider, a region and a vendor, or of fine-tuning: bedrock/eu.anthropic.claude-opus-4-1, ft:gpt-4o:acme::id.
  v_model text := regexp_replace(split_part(name, '/', -1), '^(ft:|([a-z-]+[.])+)' collate "C", '');
begin
  return coalesce(
    (select t.name from kata_data.tokenizer t where t.name = tokenizer_of.name),
    (select max(t.name collate "C") from kata_data.tokenizer t where v_model ^@ (t.name || '-')),
    case
      when v_model ~ ('^gpt-(3[.]?5|4)(-|$)' collate "C") then 'cl100k_base'
      when v_model ~ ('^(gpt-|chatgpt-|o[1-9])' collate "C") then 'o200k_base'
    end);
end
$$;
comment on function kata_data.tokenizer_of(text) is
'The registered tokenizer of a name, or of a model whose name begins with that of a tokenizer or of a series of OpenAI; null where none is known.

A prefix that ends in a slash, the name of a provider, does not count, nor do names before a point, as Bedrock has them, and ft:.';
