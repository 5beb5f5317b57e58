-- Checkpoints as a context sees them: its own, and those of its ancestors up to the fork. Of one name the nearest is found.

create or replace function kata_data.checkpoint_owners(context_id uuid)
returns table (owner_id uuid, distance integer, reach bigint)
language sql stable rows 10
as $$
  select checkpoint_owners.context_id, 0, 9223372036854775807
  union all
  select a.ancestor_id, a.distance, a.reach
  from kata_data.ancestors(checkpoint_owners.context_id) a
$$;
comment on function kata_data.checkpoint_owners(uuid) is
'The contexts whose checkpoints a context sees: itself and its ancestors.

reach: up to which version.';

create or replace function kata_data.find_checkpoint(context_id uuid, name text, out owner_id uuid, out version bigint)
language plpgsql stable
as $$
begin
  select o.owner_id, k.version into find_checkpoint.owner_id, find_checkpoint.version
  from kata_data.checkpoint_owners(find_checkpoint.context_id) o
  cross join lateral (
    -- A range in the order of names: for an equality the planner may take the index of versions, and read all checkpoints for one name.
    select k.name, k.version
    from kata_data.checkpoint k
    where k.context_id = o.owner_id
      and k.name >= find_checkpoint.name
    order by k.name
    limit 1
  ) k
  where k.name = find_checkpoint.name
    and k.version <= o.reach
  order by o.distance
  limit 1;
end
$$;
comment on function kata_data.find_checkpoint(uuid, text) is
'The nearest context with a checkpoint of a name, and its version; null where there is none.';

create or replace function kata_data.visible_checkpoints(context_id uuid, low bigint, high bigint)
returns table (name text, version bigint, note text, created_at timestamptz)
language plpgsql stable rows 10
as $$
begin
  return query
  select k.name, k.version, k.note, k.created_at
  from kata_data.checkpoint_owners(visible_checkpoints.context_id) o
  cross join lateral (
    select k.name, k.version, k.note, k.created_at
    from kata_data.checkpoint k
    where k.context_id = o.owner_id
      and k.version between low and least(o.reach, high)
    offset 0
  ) k
  where o.owner_id = (kata_data.find_checkpoint(visible_checkpoints.context_id, k.name)).owner_id;
end
$$;
comment on function kata_data.visible_checkpoints(uuid, bigint, bigint) is
'The checkpoints at the versions low to high that a context sees, in no order.';
