-- The part of a text that a search shows.

create or replace function kata_data.headline(body text, term text) returns text
language sql immutable
as $$
  select case when h.start > 1 then '…' else '' end
    || btrim(regexp_replace(substr(body, h.start, 160), E'\\s+' collate kata_data.c_utf8, ' ', 'g'))
    || case when length(body) >= h.start + 160 then '…' else '' end
  from (
    -- A stem may end otherwise than the word: "happi" for "happy".
    select greatest(1, coalesce(
      nullif(position(term in lower(body collate kata_data.c_utf8)), 0),
      nullif(position(left(term, greatest(length(term) - 1, 2)) in lower(body collate kata_data.c_utf8)), 0),
      1) - 60) as start
    offset 0
  ) h
$$;
comment on function kata_data.headline(text, text) is
'160 characters of a text around the first place of a term, white space folded; its beginning where the term is not found.';
