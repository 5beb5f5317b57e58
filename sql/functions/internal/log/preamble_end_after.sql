-- The preamble: the system and developer messages before the first message of another role. It ends with a message, not with a view
-- change that took the version after it: windows number and add up their rows by that.

create or replace function kata_data.preamble_end_after(context_id uuid, version bigint, role text) returns bigint
language sql stable
as $$
  select case
    when role not in ('system', 'developer') then coalesce((
      select m.version from kata_data.message_at(preamble_end_after.context_id, preamble_end_after.version) m), 0)
  end
$$;
comment on function kata_data.preamble_end_after(uuid, bigint, text) is
'Where the preamble of a context ends if a message of this role follows a version; null while it may still grow. Until it has ended every
message asks; only the one that ends it looks up the newest message before it. Cost: O(log n + fork depth).';
