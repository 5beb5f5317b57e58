-- In steps, every shard goes equally far: the least of their cursors is that of the step, and findings beyond it come with a later one.
-- Rows that belong to no context come with the last one.
if context_id is not null then
  return query select {columns} from {call kata_proxy.shard_of(context_id)} x;
else
  return query
  with found as materialized (
    select x.context_id as id, x.version as at, x.problem as kind, x.detail as sentence from {call all} x
  ), cursors as (
    select (array_agg(f.id order by f.id))[1] as id, min(f.sentence) as sentence from found f where f.kind = 'cursor'
  )
  select f.id, f.at, f.kind, f.sentence
  from found f
  cross join cursors c
  where f.kind <> 'cursor'
    and (c.id is null or f.id is null or f.kind <> 'orphan row' and f.id <= c.id)
  union all
  select c.id, null, 'cursor', c.sentence from cursors c where c.id is not null;
end if;
return;
