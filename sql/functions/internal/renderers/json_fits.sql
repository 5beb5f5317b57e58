-- JSON that every client can read back. Parsers give up where it nests too deep or a number is too large, and one such value in a list
-- makes the whole list unreadable; jsonb itself holds thousands of levels and 131,072 digits.

create or replace function kata_data.json_fits(value jsonb) returns boolean
language sql immutable
as $$
  select value is null
    -- So few characters can be neither too deep nor too large. Numbers are written out in them.
    or (pg_column_size(value) <= 200 and octet_length(value::text) <= 200)
    or not (jsonb_path_exists(value, 'strict $.**{101}')
      or jsonb_path_exists(value, 'strict $.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))'))
$$;
comment on function kata_data.json_fits(jsonb) is
'Whether a value nests at most 100 deep and has no number beyond 1e308, or is null. Cost: O(size).';
