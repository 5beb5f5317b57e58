-- Of a purged context nothing is left above the versions that forks read.

create or replace function kata_data.verify_purged(context_id uuid) returns setof kata_data.finding
language plpgsql stable rows 10
as $$
begin
  return query
  select min(m.version), 'left behind', 'The context is purged, and no context reads what it wrote from here on.'
  from kata_data.message m
  where m.segment_id = verify_purged.context_id
    and m.version > kata_data.segment_reach(verify_purged.context_id)
  having count(*) > 0;
  return query
  select min(v.version), 'left behind', 'The context is purged, and no context reads its view changes from here on.'
  from kata_data.view_change v
  where v.segment_id = verify_purged.context_id
    and v.version > kata_data.segment_reach(verify_purged.context_id)
  having count(*) > 0;
  return query
  select k.version, 'left behind', format('The context is purged, and no context sees its checkpoint "%s".', k.name)
  from kata_data.checkpoint k
  where k.context_id = verify_purged.context_id
    and k.version > kata_data.segment_reach(verify_purged.context_id);
  return query
  select r.answer_version, 'left behind', format('The context is purged, and no context needs its request %s as it is.', r.request_id)
  from kata_data.request r
  where r.context_id = verify_purged.context_id
    and (num_nonnulls(r.salt, r.error) > 0
      or r.request_id > kata_data.kept_requests(verify_purged.context_id, kata_data.segment_reach(verify_purged.context_id)))
  order by r.request_id
  limit 1;
  if exists (
    select from kata_data.context c
    left join kata_data.head h on h.context_id = c.context_id
    where c.context_id = verify_purged.context_id
      and (c.name, c.metadata, c.policy, h.tenant, h.tokenizer, h.closed, h.is_strict, h.notifies, h.open_calls, h.open_groups)
        is distinct from (
          null::text, '{}'::jsonb, kata_data.search_policy(c.policy), c.tenant, c.tokenizer, true, true, false, '{}'::jsonb, '{}'::jsonb)) then
    return next row(null, 'left behind', 'The context is purged, and its rows in context and head are not empty.')::kata_data.finding;
  end if;
end
$$;
comment on function kata_data.verify_purged(uuid) is
'Rows above what the purge of a context kept.

The rows that it kept are verified as part of the forks that read it.';
