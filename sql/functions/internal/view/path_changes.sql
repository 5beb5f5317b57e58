-- Reads of view changes along a path. Like those of messages they are index range scans of the segments that hold the versions.

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
'The newest view change of a path at or before a version; no row where there is none.

Cost: O(log n + fork depth).';

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
'Which of some versions of a path are view changes, in no order.';

create or replace function kata_data.undone_versions(
  context_id uuid, low bigint, high bigint, rewound int8multirange, undone_version bigint default null
) returns bigint[]
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
    where not rewound @> u.version
    order by u.version desc
  loop
    if v_undo.version <> all (v_undone) then
      v_undone := v_undone || v_undo.undone_version;
    end if;
  end loop;
  return v_undone;
end
$$;
comment on function kata_data.undone_versions(uuid, bigint, bigint, int8multirange, bigint) is
'The view changes of a line that the undos between two versions undo.

rewound: what is not on the line. undone_version: what one more undo after them undoes, or null.
Cost: O(undos).';
