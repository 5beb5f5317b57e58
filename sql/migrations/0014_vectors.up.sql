-- kata: requires extension vector
--
-- Embeddings as halfvec: half the bytes, and the distance is a C function. Everything finds the same rows without it, with scores that
-- differ by less than 0.001. A version of the extension before 0.7 has no halfvec; embeddings then stay arrays.

do $$
begin
  if to_regtype('halfvec') is null then
    return;
  end if;
  alter table kata_data.embedding alter column embedding type halfvec using embedding::halfvec;
  alter table kata_data.embedding alter column embedding set storage main;
end
$$;
