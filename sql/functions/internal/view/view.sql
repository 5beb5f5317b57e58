-- The view: what a model sees of a path. Every view change stores the whole view after it, so the view at a version is the newest
-- change up to it, one look-up whatever came before, and the messages since: visible_at and pinned_groups_at add these.

create or replace function kata_data.empty_view() returns kata_data.view
language plpgsql immutable
as $$
declare
  v_view kata_data.view;
begin
  v_view.version := 0;
  v_view.change_id := 0;
  v_view.visible := '{}';
  v_view.deleted := '{}';
  v_view.rewound := '{}';
  v_view.pinned_groups := '{}';
  v_view.elisions := '{}';
  v_view.replacements := '{}';
  v_view.covers := '{}';
  v_view.amendments := '{}';
  return v_view;
end
$$;
comment on function kata_data.empty_view() is
'The view before the first view change.

Immutable without parameters, so a plan holds it as a constant.';

create or replace function kata_data.view_after(change kata_data.view_change) returns kata_data.view
language sql immutable
as $$
  select row(
    change.version, change.change_id, change.visible, change.deleted, change.rewound, change.pinned_groups, change.elisions,
    change.replacements, change.covers, change.amendments, change.amended_from,
    change.reworded, change.tools_version, change.tools_digest, change.tools_tokens)::kata_data.view
$$;
comment on function kata_data.view_after(kata_data.view_change) is 'The view that a view change stores.';

create or replace function kata_data.view_at(context_id uuid, at bigint) returns kata_data.view
language plpgsql stable
as $$
declare
  v_view kata_data.view;
begin
  select c.version, c.change_id, c.visible, c.deleted, c.rewound, c.pinned_groups, c.elisions, c.replacements, c.covers, c.amendments,
    c.amended_from, c.reworded, c.tools_version, c.tools_digest, c.tools_tokens
  into v_view
  from kata_data.change_at(view_at.context_id, view_at.at) c;
  if not found then
    return kata_data.empty_view();
  end if;
  return v_view;
end
$$;
comment on function kata_data.view_at(uuid, bigint) is
'The view after the newest view change of a path up to a version, or the empty view.

Cost: O(log n + fork depth).';

create or replace function kata_data.view_of(context_id uuid, at bigint, view_version bigint) returns kata_data.view
language sql stable
as $$
  select case when view_version is null then kata_data.empty_view() else kata_data.view_at(context_id, at) end
$$;
comment on function kata_data.view_of(uuid, bigint, bigint) is
'The view as view_at finds it, without a look-up where the head knows of no view change.

view_version: as the head has it.';

create or replace function kata_data.visible_at(view kata_data.view, at bigint) returns int8multirange
language sql immutable
as $$
  select case
    when at > view.version then view.visible + int8multirange(int8range(view.version + 1, at + 1))
    else view.visible
  end
$$;
comment on function kata_data.visible_at(kata_data.view, bigint) is
'The versions in the view as of a version for which view_at returned the view.';

create or replace function kata_data.hidden(view kata_data.view) returns int8multirange
language sql immutable
as $$
  select case when view.rewound = '{}' then view.deleted else view.deleted + view.rewound end
$$;
comment on function kata_data.hidden(kata_data.view) is
'The versions that are deleted or rewound: neither the view nor the list raw has them, nor does a search.';

create or replace function kata_data.pinned_groups_at(context_id uuid, view kata_data.view, at bigint) returns bigint[]
language plpgsql stable
as $$
begin
  return view.pinned_groups || array(
    select distinct p.group_version from kata_data.pins_between(pinned_groups_at.context_id, view.version + 1, at) p
    where not view.rewound @> p.version);
end
$$;
comment on function kata_data.pinned_groups_at(uuid, kata_data.view, bigint) is
'The groups pinned as of a version for which view_at returned the view; a refold may know of later rewinds. Cost: O(log n + pins).';

create or replace function kata_data.pins_between(context_id uuid, low bigint, high bigint) returns table (version bigint, group_version bigint)
language sql stable rows 1
as $$
  select m.version, m.group_version
  from kata_data.segments(pins_between.context_id, low, high) s
  cross join lateral (
    select m.version, m.group_version
    from kata_data.message m
    where m.segment_id = s.segment_id
      and m.version between s.first_version and s.last_version
      and m.pinned
    offset 0
  ) m
$$;
comment on function kata_data.pins_between(uuid, bigint, bigint) is
'The messages between two versions that were appended as pinned, and their groups.';
