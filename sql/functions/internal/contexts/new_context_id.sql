-- Ids in the layout of UUID version 7 (RFC 9562): 48 bits of milliseconds, so that ids sort by creation; the 12 bits after
-- the version nibble are the bucket, which all contexts of a fork family share; 62 random bits.

create or replace function kata_data.new_context_id(bucket integer) returns uuid
language sql volatile
as $$
  select (
    lpad(to_hex((extract(epoch from kata_data.clock()) * 1000)::bigint), 12, '0')
    || '7' || lpad(to_hex(bucket), 3, '0')
    || right(replace(gen_random_uuid()::text, '-', ''), 16)
  )::uuid
$$;
comment on function kata_data.new_context_id(integer) is 'A new id of the bucket, 0 to 4095.';
