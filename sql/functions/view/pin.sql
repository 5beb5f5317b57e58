-- A pin keeps a group in every window, shortened if it was shortened; a compacted group comes back to its position.
-- plans: writer

create or replace function kata.pin(context_id uuid, version bigint) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_head kata_data.head;
  v_view kata_data.view;
  v_group bigint;
  v_versions int8multirange;
begin
  v_head := kata_data.lock_context(context_id);
  v_view := kata_data.view_at(context_id, v_head.version);
  v_group := kata_data.group_of(context_id, version, v_head.version, v_view.rewound);
  v_versions := kata_data.group_members(context_id, array[v_group], v_head.version, v_view.rewound);
  if v_group = any (kata_data.pinned_groups_at(context_id, v_view, v_head.version)) then
    perform kata_data.refuse_no_change(format('The group of version %s is pinned already.', version));
  end if;
  if v_view.deleted && v_versions then
    perform kata_data.refuse_no_change(format('Version %s is deleted: undo the deletion to bring it back.', version));
  end if;
  return kata_data.add_change(v_head, kata_data.new_change('pin', kata_data.closed(context_id, v_versions) - v_view.rewound));
end
$$;
comment on function kata.pin(uuid, bigint) is
'Pins a message with its tool group.

The group comes in every window and is never compacted; a deleted message cannot be pinned. A compacted one comes back into the view at its
own position, and what an elision has shortened of it comes back shortened.

context_id: the context. version: that of the message.

Returns the version that the pin took.
Errors: KC001, KC002 no message has this version, KC006, KC017 pinned already, deleted, or too many pieces.
Locks: the head of the context. Cost: O(log n + pins + pieces of the view).';
