-- The external ids of a path: each entry that has one is found by it, and no entry has the id of one that was on the line when it was made.
-- The reverse, an id of no entry, is an orphan.

create or replace function kata_data.verify_ids(context_id uuid) returns setof kata_data.finding
language plpgsql stable rows 10
as $$
begin
  return query
  select e.version, 'external id', case
      when not e.is_found then format('The external id "%s" does not find the entry.', left(e.external_id, 100))
      else format('Version %s has the external id "%s", too.', o.other_version, left(e.external_id, 100))
    end
  from (
    select e.version, e.external_id, array_agg(e.version) over (
        partition by e.external_id order by e.version rows between unbounded preceding and 1 preceding) as earlier, exists (
        select from kata_data.entry_id i
        where i.segment_id = e.segment_id
          and i.external_id = e.external_id
          and i.version = e.version) as is_found
    from kata_data.segments(verify_ids.context_id, 1, 9223372036854775807) s
    cross join lateral (
      select m.segment_id, m.version, m.external_id
      from kata_data.message m
      where m.segment_id = s.segment_id
        and m.version between s.first_version and s.last_version
        and m.external_id is not null
      union all
      select r.segment_id, r.version, r.external_id
      from kata_data.record r
      where r.segment_id = s.segment_id
        and r.version between s.first_version and s.last_version
        and r.external_id is not null
      offset 0
    ) e
  ) e
  cross join lateral (
    select min(o.version) as other_version
    from unnest(e.earlier) o(version)
    where not (kata_data.view_at(verify_ids.context_id, e.version - 1)).rewound @> o.version
  ) o
  where not e.is_found or o.other_version is not null
  order by e.version;
end
$$;
comment on function kata_data.verify_ids(uuid) is 'Damage in the external ids of a path. Cost: O(length of the path).';
