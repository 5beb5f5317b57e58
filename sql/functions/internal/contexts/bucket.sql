-- The bucket of a context, which all contexts of its fork family share: it is part of the id.

create or replace function kata_data.bucket(context_id uuid) returns integer
language sql immutable strict parallel safe
as $$
  select ('x' || substr(context_id::text, 16, 3))::bit(12)::integer
$$;
comment on function kata_data.bucket(uuid) is 'The bucket that an id names.';
