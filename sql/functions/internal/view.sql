-- The view: what a model would see of a path. View changes are folded in the order of their versions; each row holds the view
-- after it, so reading looks up one row, whatever came before. Only an undo folds anew, from the oldest change that it touches.

create or replace function kata_data.no_view() returns kata_data.view_change
language sql immutable
as $$
  select row(
    null, 0, 0, null, null, null, '{}', null, false, 0, 0, 0, 0, '{}', '{}', '{}', '{}', '{}', '{}')::kata_data.view_change
$$;
comment on function kata_data.no_view() is 'The view of an empty path: what comes before the first view change.';

create or replace function kata_data.change_at(context_id uuid, at bigint) returns setof kata_data.view_change
language sql stable rows 1
as $$
  select c.*
  from (
    select s.segment_id, s.first_version, s.last_version
    from kata_data.segments(change_at.context_id, 1, at) s
    order by s.first_version desc
    offset 0
  ) s
  cross join lateral (
    select c.*
    from kata_data.view_change c
    where c.segment_id = s.segment_id
      and c.version between s.first_version and s.last_version
    order by c.version desc
    limit 1
  ) c
  limit 1
$$;
comment on function kata_data.change_at(uuid, bigint) is
'The newest view change at or before a version of a context''s path; no row where there is none. Cost: O(log n + fork depth).';

create or replace function kata_data.view_at(context_id uuid, at bigint) returns kata_data.view_change
language plpgsql stable
as $$
declare
  v_view kata_data.view_change;
begin
  select c.* into v_view from kata_data.change_at(view_at.context_id, view_at.at) c;
  if not found then
    return kata_data.no_view();
  end if;
  return v_view;
end
$$;
comment on function kata_data.view_at(uuid, bigint) is
'The newest view change of a path at or below a version, with the view after it; no_view() where there is none. Cost: O(log n + fork depth).';

create or replace function kata_data.view_of(context_id uuid, at bigint, view_version bigint) returns kata_data.view_change
language sql stable
as $$
  select case when view_version is null then kata_data.no_view() else kata_data.view_at(context_id, at) end
$$;
comment on function kata_data.view_of(uuid, bigint, bigint) is
'As view_at, without a look-up where the head says that there is no view change: view_version, null for none.';

create or replace function kata_data.visible_at(view kata_data.view_change, at bigint) returns int8multirange
language sql immutable
as $$
  select case
    when at > view.version then view.visible + int8multirange(int8range(view.version + 1, at + 1))
    else view.visible
  end
$$;
comment on function kata_data.visible_at(kata_data.view_change, bigint) is 'The versions in the view as of a version, view being what view_at has for it.';

create or replace function kata_data.path_changes(context_id uuid, low bigint, high bigint) returns setof kata_data.view_change
language sql stable rows 10
as $$
  select c.*
  from kata_data.segments(path_changes.context_id, low, high) s
  cross join lateral (
    select c.*
    from kata_data.view_change c
    where c.segment_id = s.segment_id
      and c.version between s.first_version and s.last_version
    order by c.version
    offset 0
  ) c
$$;
comment on function kata_data.path_changes(uuid, bigint, bigint) is 'The view changes of a path between two versions, in no order.';

create or replace function kata_data.changes_among(context_id uuid, versions int8multirange) returns table (version bigint)
language sql stable rows 10
as $$
  select c.version
  from unnest(versions) r(range)
  cross join lateral (
    select s.segment_id, s.first_version, s.last_version
    from kata_data.segments(changes_among.context_id, lower(r.range), upper(r.range) - 1) s
    offset 0
  ) s
  cross join lateral (
    select c.version
    from kata_data.view_change c
    where c.segment_id = s.segment_id
      and c.version between s.first_version and s.last_version
    offset 0
  ) c
$$;
comment on function kata_data.changes_among(uuid, int8multirange) is
'Which of some versions of a context''s path were taken by view changes, in no order.';

create or replace function kata_data.pins_between(context_id uuid, low bigint, high bigint) returns table (group_version bigint)
language sql stable rows 1
as $$
  select m.group_version
  from kata_data.segments(pins_between.context_id, low, high) s
  cross join lateral (
    select m.group_version
    from kata_data.message m
    where m.segment_id = s.segment_id
      and m.version between s.first_version and s.last_version
      and m.pinned
    offset 0
  ) m
$$;
comment on function kata_data.pins_between(uuid, bigint, bigint) is
'The groups of the messages between two versions that were appended as pinned, one row a message.';

create or replace function kata_data.pinned_groups_at(context_id uuid, view kata_data.view_change, at bigint) returns bigint[]
language plpgsql stable
as $$
begin
  return view.pinned_groups || array(
    select distinct p.group_version from kata_data.pins_between(pinned_groups_at.context_id, view.version + 1, at) p);
end
$$;
comment on function kata_data.pinned_groups_at(uuid, kata_data.view_change, bigint) is
'The groups pinned as of a version, view being what view_at has for it. Cost: O(log n + pins).';

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

create or replace function kata_data.stub_of(segment_id uuid, group_version bigint, version bigint, elisions bigint[])
returns setof kata_data.stub
language sql stable rows 1
as $$
  select s.*
  from kata_data.stub s
  where elisions <> '{}'
    and s.segment_id = stub_of.segment_id
    and s.group_version = stub_of.group_version
    and s.version = stub_of.version
    -- Not as an index condition: it would be looked up once for each elision.
    and s.change_id + 0 = any (elisions)
  order by s.change_id desc
  limit 1
$$;
comment on function kata_data.stub_of(uuid, bigint, bigint, bigint[]) is 'How a message is shown while these elisions are in force; no row where it is shown whole.';

create or replace function kata_data.summary_tokens(context_id uuid, versions bigint[]) returns bigint
language sql stable
as $$
  select coalesce(sum(y.token_count), 0)
  from unnest(versions) v(version)
  cross join lateral kata_data.summary_of(summary_tokens.context_id, v.version) y
$$;
comment on function kata_data.summary_tokens(uuid, bigint[]) is 'The tokens of some summaries of a path.';

create or replace function kata_data.reshown(view_a kata_data.view_change, view_b kata_data.view_change) returns int8multirange
language plpgsql stable
as $$
declare
  v_elisions bigint[];
begin
  if view_a.elisions = view_b.elisions then
    return '{}';
  end if;
  v_elisions := array(
    select e.change_id from unnest(view_a.elisions || view_b.elisions) e(change_id) group by e.change_id having count(*) = 1);
  return coalesce((
    select range_agg(int8range(s.version, s.version + 1))
    from kata_data.stub s
    where s.change_id = any (v_elisions)), '{}');
end
$$;
comment on function kata_data.reshown(kata_data.view_change, kata_data.view_change) is
'The messages that elisions shorten which are in force in one of two views only.';

create or replace function kata_data.view_tokens_after(context_id uuid, view kata_data.view_change, view_tokens bigint, change kata_data.view_change)
returns bigint
language plpgsql stable
as $$
declare
  v_before int8multirange := kata_data.visible_at(view, change.version);
  v_gone int8multirange := v_before - change.visible;
  v_come int8multirange := change.visible - v_before;
  v_reshown int8multirange := kata_data.reshown(view, change) * v_before * change.visible;
  v_total bigint := view_tokens;
begin
  if view.replacements <> change.replacements then
    v_total := v_total - kata_data.summary_tokens(context_id, view.replacements) + kata_data.summary_tokens(context_id, change.replacements);
  end if;
  return v_total
    - kata_data.shown_tokens(context_id, v_gone + v_reshown, view.elisions)
    + kata_data.shown_tokens(context_id, v_come + v_reshown, change.elisions);
end
$$;
comment on function kata_data.view_tokens_after(uuid, kata_data.view_change, bigint, kata_data.view_change) is
'The tokens of the view after a folded change, given the view before it and its tokens with all messages up to the change. Cost: O(messages that
come, go or change their length).';
