-- The tokenizers that a context may count in.
-- plans: lookup

create or replace function kata.tokenizers() returns table (name text, bytes_per_token numeric, margin numeric)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
begin
  return query
  select t.name, t.bytes_per_token, t.margin
  from kata_data.tokenizer t
  order by t.name collate "C";
end
$$;
comment on function kata.tokenizers() is
'The registered tokenizers.

Returns name, bytes_per_token (of English text), margin (the fraction by which a conversion from another tokenizer is padded).
Cost: O(tokenizers).';
