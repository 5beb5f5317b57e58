-- Folding view changes, in version order, into the view that they leave.

create or replace function kata_data.fold_change(context_id uuid, view kata_data.view_change, change kata_data.view_change)
returns kata_data.view_change
language plpgsql stable
as $$
declare
  v_is_gone boolean := change.kind in ('compaction', 'deletion');
  v_absorbed int8multirange;
begin
  change.visible := kata_data.visible_at(view, change.version);
  change.deleted := view.deleted;
  change.pinned_groups := kata_data.pinned_groups_at(context_id, view, change.version);
  change.elisions := view.elisions;
  change.replacements := view.replacements;
  change.covers := view.covers;

  case change.kind
    when 'compaction' then
      change.visible := change.visible - change.versions;
    when 'deletion' then
      change.visible := change.visible - change.versions;
      change.deleted := change.deleted + change.versions;
      change.pinned_groups := array(select p.pinned from unnest(change.pinned_groups) p(pinned) where not change.versions @> p.pinned);
    when 'elision' then
      change.elisions := change.elisions || change.change_id;
    when 'pin' then
      if not change.deleted && change.versions then
        change.visible := change.visible + change.versions;
        change.pinned_groups := change.pinned_groups || lower(change.versions);
        change.covers := array(
          select c.covers - change.versions from unnest(change.covers) with ordinality c(covers, ordinality) order by c.ordinality);
      end if;
    when 'unpin' then
      change.pinned_groups := array_remove(change.pinned_groups, lower(change.versions));
    when 'undo' then
      null;
  end case;

  change.pinned_groups := array(select distinct p.pinned from unnest(change.pinned_groups) p(pinned) order by p.pinned);
  if v_is_gone and change.replacements <> '{}' then
    select
      coalesce(array_agg(r.version order by r.version) filter (where not change.versions @> r.version), '{}'),
      coalesce(array_agg(r.covers order by r.version) filter (where not change.versions @> r.version), '{}'),
      range_agg(r.covers) filter (where change.versions @> r.version)
    into change.replacements, change.covers, v_absorbed
    from unnest(change.replacements, change.covers) r(version, covers);
  end if;
  if change.is_summarised then
    change.replacements := change.replacements || change.version;
    change.covers := change.covers || (change.versions + coalesce(v_absorbed, '{}'));
  end if;
  -- An elision is done with when nothing that it shortens is left.
  if v_is_gone and change.elisions <> '{}' then
    change.elisions := array(
      select e.change_id
      from unnest(change.elisions) e(change_id)
      where exists (
        select from kata_data.stub s
        where s.change_id = e.change_id
          and change.visible @> s.version
        offset 0)
      order by e.change_id);
  end if;
  return change;
end
$$;
comment on function kata_data.fold_change(uuid, kata_data.view_change, kata_data.view_change) is
'A view change with the view after it, given the one before it; an undo changes nothing here, fold_undo does. Cost: O(pieces of the view).';

create or replace function kata_data.undone_versions(context_id uuid, low bigint, high bigint, undone_version bigint default null) returns bigint[]
language plpgsql stable
as $$
declare
  v_undone bigint[] := case when undone_version is null then '{}' else array[undone_version] end;
  v_undo record;
begin
  -- From the newest on: an undo that is undone itself undoes nothing.
  for v_undo in
    select u.version, u.undone_version
    from kata_data.segments(undone_versions.context_id, low, high) s
    cross join lateral (
      select c.version, c.undone_version
      from kata_data.view_change c
      where c.segment_id = s.segment_id
        and c.version between s.first_version and s.last_version
        and c.undone_version is not null
      offset 0
    ) u
    order by u.version desc
  loop
    if v_undo.version <> all (v_undone) then
      v_undone := v_undone || v_undo.undone_version;
    end if;
  end loop;
  return v_undone;
end
$$;
comment on function kata_data.undone_versions(uuid, bigint, bigint, bigint) is
'What the undos between two versions undo, and one more undo after them, if undone_version is given. Cost: O(undos).';

create or replace function kata_data.fold_undo(context_id uuid, change kata_data.view_change) returns kata_data.view_change
language plpgsql stable
as $$
declare
  v_start bigint := change.undone_version;
  v_older bigint;
  v_undone bigint[];
  v_view kata_data.view_change;
  v_change kata_data.view_change;
begin
  -- Back to where no later undo reaches: the view before that stands as it is stored.
  loop
    v_older := (
      select min(c.undone_version)
      from kata_data.path_changes(fold_undo.context_id, v_start, change.version - 1) c
      where c.undone_version < v_start);
    exit when v_older is null;
    v_start := v_older;
  end loop;
  v_undone := kata_data.undone_versions(context_id, v_start, change.version - 1, change.undone_version);

  v_view := kata_data.view_at(context_id, v_start - 1);
  for v_change in
    select c.*
    from kata_data.path_changes(fold_undo.context_id, v_start, change.version - 1) c
    where c.kind <> 'undo'
      and c.version <> all (v_undone)
    order by c.version
  loop
    v_view := kata_data.fold_change(context_id, v_view, v_change);
  end loop;
  return kata_data.fold_change(context_id, v_view, change);
end
$$;
comment on function kata_data.fold_undo(uuid, kata_data.view_change) is
'An undo with the view after it: all changes folded anew but those that are undone now. Cost: O(changes since the oldest one that it touches).';

create or replace function kata_data.fold(context_id uuid, view kata_data.view_change, change kata_data.view_change) returns kata_data.view_change
language plpgsql stable
as $$
begin
  if change.kind = 'undo' then
    return kata_data.fold_undo(context_id, change);
  end if;
  return kata_data.fold_change(context_id, view, change);
end
$$;
comment on function kata_data.fold(uuid, kata_data.view_change, kata_data.view_change) is 'A view change with the view after it, given the one before it.';
