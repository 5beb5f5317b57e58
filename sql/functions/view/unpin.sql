-- Removes a pin, whether it came with the message or after it.
-- plans: writer

create or replace function kata.unpin(context_id uuid, version bigint) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_head kata_data.head;
  v_view kata_data.view;
  v_group bigint;
begin
  v_head := kata_data.lock_context(context_id);
  v_view := kata_data.view_at(context_id, v_head.version);
  v_group := kata_data.group_of(context_id, version, v_head.version, v_view.rewound);
  if v_group <> all (kata_data.pinned_groups_at(context_id, v_view, v_head.version)) then
    perform kata_data.refuse_no_change(format('The group of version %s is not pinned.', version));
  end if;
  return kata_data.add_change(v_head, kata_data.new_change(
    'unpin',
    kata_data.closed(context_id, kata_data.group_members(context_id, array[v_group], v_head.version, v_view.rewound)) - v_view.rewound));
end
$$;
comment on function kata.unpin(uuid, bigint) is
'Unpins a message and its tool group.

The group stays in the view until a compaction covers it.

context_id: the context. version: that of the message.

Returns the version that the change took.
Errors: KC001, KC002 no message has this version, KC006, KC017 not pinned.
Locks: the head of the context. Cost: O(log n + pins + pieces of the view).';
