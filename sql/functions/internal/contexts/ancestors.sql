-- The ancestors of a context, parent by parent. Its lineage may name fewer: a fork made before its parent's own fork point shares no entry
-- with the parent, and reads nothing there.

create or replace function kata_data.ancestors(context_id uuid)
returns table (ancestor_id uuid, distance integer, reach bigint)
language plpgsql stable rows 10
as $$
begin
  return query
  with recursive ancestor as (
    select c.parent_id, 1 as distance, c.fork_version as reach, c.depth
    from kata_data.context c
    where c.context_id = ancestors.context_id
      and c.parent_id is not null
    union all
    select c.parent_id, a.distance + 1, least(a.reach, c.fork_version), c.depth
    from ancestor a
    cross join lateral (
      select c.parent_id, c.fork_version, c.depth
      from kata_data.context c
      where c.context_id = a.parent_id
        -- Parents that damage has put in a circle end, and kata.verify reports them.
        and c.depth < a.depth
      offset 0
    ) c
    where c.parent_id is not null
  )
  select a.parent_id, a.distance, a.reach from ancestor a;
end
$$;
comment on function kata_data.ancestors(uuid) is
'The ancestors of a context, how many forks away each is, and up to which version the two are the same. Cost: O(fork depth).';
