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
