-- The preamble: the system and developer messages before the first message of another role.

create or replace function kata_data.preamble_end_after(version bigint, role text) returns bigint
language sql immutable
as $$
  select case when role not in ('system', 'developer') then version end
$$;
comment on function kata_data.preamble_end_after(bigint, text) is
'Where the preamble of messages up to a version ends, if a message of this role follows them; null while it may still grow.';
