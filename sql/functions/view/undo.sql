-- Reverses a view change. The log only grows: an undo is a view change itself, and can be undone.
-- plans: writer

create or replace function kata.undo(context_id uuid, version bigint) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_head kata_data.head;
  v_change kata_data.view_change;
  v_rewound int8multirange;
  v_undone bigint[];
  v_moved int8multirange;
  v_stands_on text[];
  v_blocking bigint;
  v_kind text;
begin
  v_head := kata_data.lock_context(context_id);
  select c.* into v_change
  from kata_data.path_changes(undo.context_id, undo.version, least(undo.version, v_head.version)) c;
  if not found then
    raise exception using
      errcode = 'KC017',
      message = format('version %s is not a view change', coalesce(version::text, 'null')),
      detail = format('Only compactions, deletions, elisions, pins, unpins, amendments, changes of tools, rewinds and undos of context %s can be undone.', context_id),
      hint = 'Find them with kata.history. To go back before a message, rewind, or fork there.';
  end if;
  v_rewound := (kata_data.view_at(context_id, v_head.version)).rewound;
  v_undone := kata_data.undone_versions(context_id, version + 1, v_head.version, v_rewound);
  if version = any (v_undone) then
    raise exception using
      errcode = 'KC017',
      message = format('version %s is undone already', version),
      detail = 'A later undo in force reverses it.',
      hint = 'Undo that undo to redo it; kata.history lists both.';
  end if;
  perform kata_data.check_undoable(v_head, v_change, v_rewound);

  v_moved := kata_data.moved_by_undo(context_id, v_change);
  v_stands_on := case
    when (kata_data.root_change(context_id, v_change)).kind = 'amendment' then '{compaction,elision}'::text[]
    else '{compaction}'
  end;
  select c.version, c.kind into v_blocking, v_kind
  from kata_data.path_changes(undo.context_id, undo.version + 1, v_head.version) c
  where c.kind = any (v_stands_on)
    and c.version <> all (v_undone)
    and not v_rewound @> c.version
    and c.versions && v_moved
    and kata_data.holds_messages(undo.context_id, c.versions * v_moved)
  order by c.version
  limit 1;
  if v_blocking is not null then
    raise exception using
      errcode = 'KC021',
      message = format('version %s is superseded by the %s at version %s', version, v_kind, v_blocking),
      detail = case v_kind
        when 'elision' then format('The short form that it shows is made of the words in force then: %s.', v_moved)
        else format('That compaction covers messages that the undo would bring back or take away: %s.', v_moved)
      end,
      hint = format('Undo version %s first.', v_blocking);
  end if;
  return kata_data.add_change(v_head, kata_data.new_change('undo', '{}', version));
end
$$;
comment on function kata.undo(uuid, bigint) is
'Undoes the view change at a version.

Messages that it covered, deleted, shortened or amended come back, except those deleted since. The undo takes a version itself, and undoing it is
redo. The views of past versions stay as they are. A rewind is undone only while it is the newest entry.

context_id: the context; a change that a fork inherited is undone in the fork only. version: that of the view change.

Returns the version that the undo took.
Errors: KC001, KC006, KC017 not a view change, undone already, or rewound, KC021 a later compaction in force covers a message that the undo would
bring back, take away or reword, a later elision is made of the amended words (DETAIL names it), or a rewind that is not the newest entry.
Locks: the head of the context. Cost: O(view changes since the oldest one that is undone + messages that come or go).';

create or replace function kata_data.check_undoable(head kata_data.head, change kata_data.view_change, rewound int8multirange) returns void
language plpgsql stable
as $$
declare
  v_rewind bigint;
begin
  if change.kind = 'record' then
    raise exception using
      errcode = 'KC017',
      message = format('version %s is a record, which cannot be undone', change.version),
      detail = 'A record changes no view.',
      hint = 'Append another record that corrects it, or erase it with kata.erase_message.';
  end if;
  v_rewind := kata_data.rewound_by(head.context_id, rewound, change.version);
  if v_rewind is not null then
    raise exception using
      errcode = 'KC017',
      message = format('version %s is rewound', change.version),
      detail = format('The rewind at version %s took it back with all that came after version %s.', v_rewind, (
        select c.rewound_to from kata_data.path_changes(head.context_id, v_rewind, v_rewind) c)),
      hint = format('Go to a version where it was in force: kata.rewind(%L, %s), for example.', head.context_id, change.version);
  end if;
  if change.version < head.version and (kata_data.root_change(head.context_id, change)).kind = 'rewind' then
    -- A call may have been answered on either line, and a pin may name what the other one hides.
    raise exception using
      errcode = 'KC021',
      message = format('version %s is a rewind, or the undo of one, and not the newest entry', change.version),
      detail = format('Context %s is at version %s.', head.context_id, head.version),
      hint = format('Go back to before it: kata.rewind(%L, %s).', head.context_id, change.version - 1);
  end if;
end
$$;
comment on function kata_data.check_undoable(kata_data.head, kata_data.view_change, int8multirange) is
'Refuses to undo a record, what is rewound, and a rewind that is not the newest entry. rewound: of the view. KC017, KC021.';

create or replace function kata_data.moved_by_undo(context_id uuid, change kata_data.view_change) returns int8multirange
language plpgsql stable
as $$
declare
  v_change kata_data.view_change := change;
  v_is_redo boolean := false;
begin
  -- In damaged tables an undo may name itself, or a later one.
  while v_change.undone_version < v_change.version loop
    select c.* into strict v_change
    from kata_data.path_changes(moved_by_undo.context_id, v_change.undone_version, v_change.undone_version) c;
    v_is_redo := not v_is_redo;
  end loop;
  return case v_change.kind
    when 'compaction' then v_change.versions
      + case when v_change.is_summarized then int8multirange(int8range(v_change.version, v_change.version + 1)) else '{}' end
    when 'deletion' then v_change.versions
    when 'elision' then '{}'
    when 'tools' then '{}'
    when 'amendment' then v_change.versions
    -- A pin brings back what was covered; without it that goes again, and without an unpin it stays.
    when 'pin' then case
      when v_is_redo then v_change.versions
      else v_change.versions - kata_data.visible_at(kata_data.view_at(context_id, v_change.version - 1), v_change.version)
    end
    when 'unpin' then case when v_is_redo then '{}' else v_change.versions end
    -- A rewind is undone only while no later change exists.
    else '{}'
  end;
end
$$;
comment on function kata_data.moved_by_undo(uuid, kata_data.view_change) is
'The versions that undoing a change would bring into the view or take out of it.';
