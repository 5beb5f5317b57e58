-- A tokenizer here is a name and its density; clients count with it.
-- plans: lookup

create or replace function kata.register_tokenizer(name text, bytes_per_token numeric, margin numeric default 0.15) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
begin
  if name is null or length(name) not between 1 and 255 or bytes_per_token is null or bytes_per_token not between 0.1 and 100
    or margin is null or margin not between 0 and 10 then
    raise exception using
      errcode = 'KC017',
      message = 'tokenizer is out of range',
      detail = format('Its name is "%s", bytes_per_token %s, margin %s.',
        coalesce(left(name, 100), 'null'), coalesce(left(bytes_per_token::text, 100), 'null'), coalesce(left(margin::text, 100), 'null')),
      hint = 'Pass a name of 1 to 255 characters, 0.1 to 100 bytes per token and a margin from 0 to 10, 0.15 for example.';
  end if;
  insert into kata_data.tokenizer as t (name, bytes_per_token, margin)
  values (register_tokenizer.name, register_tokenizer.bytes_per_token, register_tokenizer.margin)
  on conflict on constraint tokenizer_pkey do update
  set bytes_per_token = excluded.bytes_per_token, margin = excluded.margin;
end
$$;
comment on function kata.register_tokenizer(text, numeric, numeric) is
'Registers a tokenizer, or corrects one.

name: 1 to 255 characters. bytes_per_token: bytes of English text per token, 0.1 to 100.
margin: the fraction by which a conversion from another tokenizer is padded, 0 to 10.

Errors: KC017. Cost: O(1).';
