-- The preamble: the system and developer messages before the first message of another role. It ends with a message, not with a view
-- change that took the version after it: windows number and add up their rows by that. After a rewind to before its end it begins anew.

create or replace function kata_data.preamble_end_after(head kata_data.head, role text) returns bigint
language sql stable
as $$
  select case
    when role not in ('system', 'developer') then coalesce(
      kata_data.newest_of_line(
        head.context_id, head.version, (kata_data.view_of(head.context_id, head.version, head.view_version)).rewound), 0)
  end
$$;
comment on function kata_data.preamble_end_after(kata_data.head, text) is
'Where the preamble of a context ends if a message of this role follows; null while it may still grow. Until it has ended every
message asks; only the one that ends it looks up the newest message of the line before it. Cost: O(log n + fork depth).';
