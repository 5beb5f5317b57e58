-- Folding: what a view change makes of the view before it. The view after a change is stored with the change, so only an undo folds
-- older changes again: it starts from the stored view before the oldest change that it touches, and leaves out what is undone. A rewind,
-- and an undo of the newest entry, go back to a view that is stored.
--
-- Example: a compaction at 20, a pin at 25, then an undo of 20 at version 30. The undo folds the pin onto the view before 20. Had an
-- undo between 20 and 30 undone a change at 12, the view before 12 would be the start: the stored views from 12 on hold that change.
--
-- Changes that are rewound are passed over, and so are rewinds: what they took off the line is known, and what is left is the line.

create or replace function kata_data.fold(context_id uuid, view kata_data.view, change kata_data.view_change) returns kata_data.view
language plpgsql stable
as $$
begin
  if change.kind = 'rewind' or change.undone_version = change.version - 1 then
    return kata_data.fold_return(context_id, change);
  elsif change.kind = 'undo' then
    return kata_data.fold_undo(context_id, view, change);
  end if;
  return kata_data.fold_change(context_id, view, change, change.version - 1, null);
end
$$;
comment on function kata_data.fold(uuid, kata_data.view, kata_data.view_change) is
'The view after a view change, given the view before it.

Cost: O(pieces of the view); of an undo, times the changes folded again.';

create or replace function kata_data.returned_version(change kata_data.view_change) returns bigint
language sql immutable
as $$
  select coalesce(change.rewound_to, case when change.undone_version = change.version - 1 then change.undone_version - 1 end)
$$;
comment on function kata_data.returned_version(kata_data.view_change) is
'The version whose view a rewind or an undo of the entry before it brings back; null for other changes.';

create or replace function kata_data.fold_return(context_id uuid, change kata_data.view_change) returns kata_data.view
language plpgsql stable
as $$
declare
  v_at bigint := kata_data.returned_version(change);
  v_view kata_data.view;
begin
  v_view := kata_data.view_at(context_id, v_at);
  v_view.pinned_groups := array(
    select distinct p.pinned from unnest(kata_data.pinned_groups_at(fold_return.context_id, v_view, v_at)) p(pinned) order by p.pinned);
  if change.kind = 'rewind' then
    v_view.visible := kata_data.visible_at(v_view, v_at);
    -- With its own version, so that rewinds in a row leave one range.
    v_view.rewound := v_view.rewound + int8multirange(int8range(v_at, change.version, '(]'));
  else
    -- Neither the undo nor what it undoes is a message.
    v_view.visible := kata_data.visible_at(v_view, change.version);
  end if;
  v_view.version := change.version;
  v_view.change_id := change.change_id;
  return v_view;
end
$$;
comment on function kata_data.fold_return(uuid, kata_data.view_change) is
'The view after a rewind, or after an undo of the newest entry: the one that was.

Cost: O(log n + pieces of the view).';

create or replace function kata_data.fold_undo(context_id uuid, view kata_data.view, change kata_data.view_change) returns kata_data.view
language plpgsql stable
as $$
declare
  v_start bigint := change.undone_version;
  v_older bigint;
  v_undone bigint[];
  v_view kata_data.view;
  v_change kata_data.view_change;
begin
  -- Back to where no later undo reaches: the view before that is stored as it is needed.
  loop
    v_older := (
      select min(c.undone_version)
      from kata_data.path_changes(fold_undo.context_id, v_start, change.version - 1) c
      where c.undone_version < v_start
        and not view.rewound @> c.version);
    exit when v_older is null;
    v_start := v_older;
  end loop;
  v_undone := kata_data.undone_versions(context_id, v_start, change.version - 1, view.rewound, change.undone_version);

  v_view := kata_data.view_at(context_id, v_start - 1);
  -- The refolded changes see the line of now.
  v_view.rewound := view.rewound;
  for v_change in
    select c.*
    from kata_data.path_changes(fold_undo.context_id, v_start, change.version - 1) c
    where c.kind not in ('undo', 'rewind', 'record')
      and c.version <> all (v_undone)
      and not view.rewound @> c.version
    order by c.version
  loop
    v_view := kata_data.fold_change(context_id, v_view, v_change, change.version - 1, change.undone_version);
  end loop;
  return kata_data.fold_change(context_id, v_view, change, change.version - 1, change.undone_version);
end
$$;
comment on function kata_data.fold_undo(uuid, kata_data.view, kata_data.view_change) is
'The view after an undo: all changes of the line folded again, except those that are undone now.

view: before it.

Cost: O(changes since the oldest one that it touches).';

create or replace function kata_data.fold_change(
  context_id uuid, view kata_data.view, change kata_data.view_change, newest bigint, undone_version bigint
) returns kata_data.view
language plpgsql stable
as $$
declare
  v_view kata_data.view := view;
  v_visible int8multirange := kata_data.visible_at(view, change.version) - view.rewound;
begin
  v_view.version := change.version;
  v_view.change_id := change.change_id;
  v_view.visible := v_visible;
  v_view.pinned_groups := kata_data.pinned_groups_at(context_id, view, change.version);

  case change.kind
    when 'compaction' then
      v_view := kata_data.cover(context_id, v_view, change);
      v_view.elisions := kata_data.elisions_in_force(v_view);
      v_view.amendments := kata_data.amendments_in_force(v_view);
    when 'deletion' then
      v_view.visible := kata_data.without_empty_pieces(context_id, v_visible, v_visible - change.versions, change.version);
      v_view.deleted := v_view.deleted + change.versions;
      v_view.pinned_groups := array(select p.pinned from unnest(v_view.pinned_groups) p(pinned) where not change.versions @> p.pinned);
      v_view := kata_data.without_summaries(v_view, change.versions);
      v_view.elisions := kata_data.elisions_in_force(v_view);
      v_view.amendments := kata_data.amendments_in_force(v_view);
    when 'elision' then
      v_view.elisions := v_view.elisions || change.change_id;
      if newest >= change.version then
        -- Folded again: what it shortens may be hidden by now. At first its stubs are not stored yet, and all are visible.
        v_view.elisions := kata_data.elisions_in_force(v_view);
      end if;
    when 'pin' then
      if not v_view.deleted && change.versions then
        v_view.visible := v_visible + change.versions;
        v_view.pinned_groups := v_view.pinned_groups || lower(change.versions);
        v_view := kata_data.uncover(context_id, v_view, change.versions);
        v_view.elisions := v_view.elisions || kata_data.elisions_of(
          context_id, change.versions - v_visible, change.version, newest, view.rewound, undone_version);
        if v_view.amended_from is not null then
          v_view.amendments := kata_data.amendments_in_force(v_view) || kata_data.amendments_of(
            context_id, change.versions - v_visible, change.version, newest, view.rewound, undone_version);
        end if;
      end if;
    when 'unpin' then
      v_view.pinned_groups := array_remove(v_view.pinned_groups, lower(change.versions));
    when 'amendment' then
      v_view := kata_data.fold_amendment(v_view, change);
    when 'tools' then
      v_view.tools_version := change.version;
      v_view.tools_digest := change.tools_digest;
      v_view.tools_tokens := change.tools_tokens;
    when 'undo', 'record' then
      -- fold_undo has left out what an undo undoes; a record leaves the view as it was.
      null;
  end case;
  v_view.pinned_groups := array(select distinct p.pinned from unnest(v_view.pinned_groups) p(pinned) order by p.pinned);
  v_view.elisions := array(select distinct e.change_id from unnest(v_view.elisions) e(change_id) order by e.change_id);
  v_view.amendments := array(select distinct e.change_id from unnest(v_view.amendments) e(change_id) order by e.change_id);
  v_view.reworded := kata_data.reworded_after(v_view, change, v_visible);
  return v_view;
end
$$;
comment on function kata_data.fold_change(uuid, kata_data.view, kata_data.view_change, bigint, bigint) is
'The view after a view change, given the view before it; of an undo, fold_undo has left out what it undoes.

newest, undone_version: the newest change that is known, and what one more undo after it undoes, or null; they say which elisions and
amendments are undone. view.rewound may reach beyond the change.
Cost: O(pieces of the view).';

create or replace function kata_data.reworded_after(view kata_data.view, change kata_data.view_change, visible int8multirange)
returns int8multirange
language plpgsql immutable
as $$
declare
  v_reworded int8multirange;
begin
  if view.elisions = '{}' and view.amendments = '{}' then
    return null;
  end if;
  v_reworded := (coalesce(view.reworded, '{}') + case
    when change.kind in ('elision', 'amendment') then change.versions
    -- Messages that a pin brings back come in the words that they had.
    when change.kind = 'pin' then change.versions - visible
    else '{}'
  end) * view.visible;
  return nullif(v_reworded + coalesce((
    select int8multirange(range_merge(v_reworded * int8multirange(int8range(null, upper(r.range)))))
    from unnest(v_reworded) r(range)
    order by r.range desc
    offset 99
    limit 1), '{}'), '{}');
end
$$;
comment on function kata_data.reworded_after(kata_data.view, kata_data.view_change, int8multirange) is
'Versions among which are those of all messages that a view shows in other words, after a change; null for none.

view: after the change, with the field as before it. visible: the versions that were visible before it.';

create or replace function kata_data.cover(context_id uuid, view kata_data.view, change kata_data.view_change) returns kata_data.view
language plpgsql stable
as $$
declare
  v_view kata_data.view := view;
  v_versions int8multirange := change.versions;
  v_covers int8multirange;
begin
  -- A compaction covers no pin. One that comes back by an undo may meet a pin that came back before it.
  if exists (select from unnest(view.pinned_groups) p(pinned) where v_versions @> p.pinned) then
    v_versions := v_versions - kata_data.closed(context_id, kata_data.group_members(context_id, view.pinned_groups, change.version, view.rewound));
  end if;
  v_view.visible := kata_data.without_empty_pieces(context_id, view.visible, view.visible - v_versions, change.version);
  v_view := kata_data.without_summaries(v_view, v_versions);
  if change.is_summarized then
    v_covers := kata_data.from_first_message(
      context_id, kata_data.closed(context_id, v_versions + kata_data.covered_by(view, v_versions)));
    if not isempty(v_covers) then
      v_view.replacements := v_view.replacements || change.version;
      v_view.covers := v_view.covers || v_covers;
    end if;
  end if;
  return v_view;
end
$$;
comment on function kata_data.cover(uuid, kata_data.view, kata_data.view_change) is
'A view after a compaction: what it covers, except pins, leaves, and its summary enters.';

create or replace function kata_data.uncover(context_id uuid, view kata_data.view, versions int8multirange) returns kata_data.view
language plpgsql stable
as $$
begin
  if exists (select from unnest(view.covers) c(covers) where c.covers && versions) then
    select coalesce(array_agg(r.version order by r.version), '{}'), coalesce(array_agg(r.covers order by r.version), '{}')
    into view.replacements, view.covers
    from (
      select r.version,
        case
          when r.covers && versions then kata_data.from_first_message(uncover.context_id, r.covers - versions)
          else r.covers
        end as covers
      from unnest(view.replacements, view.covers) r(version, covers)
    ) r
    where not isempty(r.covers);
  end if;
  return view;
end
$$;
comment on function kata_data.uncover(uuid, kata_data.view, int8multirange) is
'A view whose summaries no longer cover some versions; a summary that covers no message any more leaves.';

create or replace function kata_data.without_summaries(view kata_data.view, versions int8multirange) returns kata_data.view
language plpgsql immutable
as $$
begin
  if view.replacements <> '{}' then
    select
      coalesce(array_agg(r.version order by r.version), '{}'), coalesce(array_agg(r.covers order by r.version), '{}')
    into view.replacements, view.covers
    from unnest(view.replacements, view.covers) r(version, covers)
    where not versions @> r.version;
  end if;
  return view;
end
$$;
comment on function kata_data.without_summaries(kata_data.view, int8multirange) is 'A view less the summaries at some versions.';

create or replace function kata_data.covered_by(view kata_data.view, versions int8multirange) returns int8multirange
language plpgsql immutable
as $$
begin
  return coalesce((
    select range_agg(r.covers) from unnest(view.replacements, view.covers) r(version, covers) where versions @> r.version), '{}');
end
$$;
comment on function kata_data.covered_by(kata_data.view, int8multirange) is 'What the summaries of a view at some versions cover.';

create or replace function kata_data.elisions_in_force(view kata_data.view) returns bigint[]
language plpgsql stable
as $$
begin
  if view.elisions = '{}' then
    return '{}'::bigint[];
  end if;
  return array(
    select e.change_id
    from unnest(view.elisions) e(change_id)
    where exists (
      select from kata_data.stub s
      where s.change_id = e.change_id
        and view.visible @> s.version
      offset 0)
    order by e.change_id);
end
$$;
comment on function kata_data.elisions_in_force(kata_data.view) is 'The elisions of a view that still shorten a message in it.';

create or replace function kata_data.elisions_of(
  context_id uuid, versions int8multirange, before bigint, newest bigint, rewound int8multirange, undone_version bigint
) returns bigint[]
language plpgsql stable
as $$
declare
  v_changes bigint[];
  v_versions bigint[];
  v_undone bigint[];
begin
  -- One of them may shorten several messages.
  select array_agg(e.change_id order by e.change_id), array_agg(e.version order by e.change_id)
  into v_changes, v_versions
  from (
    select distinct c.change_id, c.version
    from kata_data.path_messages(elisions_of.context_id, versions) m
    join kata_data.stub s on s.segment_id = m.segment_id and s.group_version = m.group_version and s.version = m.version
    join kata_data.view_change c on c.change_id = s.change_id
    join kata_data.segments(elisions_of.context_id, 1, before - 1) g
      on g.segment_id = c.segment_id and c.version between g.first_version and g.last_version
    where not elisions_of.rewound @> c.version
  ) e;
  if v_changes is null then
    return '{}'::bigint[];
  end if;
  v_undone := kata_data.undone_versions(
    context_id, (select min(v.version) from unnest(v_versions) v(version)), newest, rewound, undone_version);
  return array(
    select e.change_id from unnest(v_changes, v_versions) e(change_id, version) where e.version <> all (v_undone) order by e.change_id);
end
$$;
comment on function kata_data.elisions_of(uuid, int8multirange, bigint, bigint, int8multirange, bigint) is
'The elisions of a line that shorten messages at some versions and are not undone.

before: only elisions before this version. newest, undone_version: as fold_change takes them. rewound: of the view.
Cost: O(messages + undos since the oldest of these elisions).';
