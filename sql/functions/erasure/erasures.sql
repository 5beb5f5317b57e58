-- The record of erased messages on a path, inherited ones included.
-- plans: lookup

create or replace function kata.erasures(context_id uuid)
returns table (version bigint, reason text, erased_by text, erased_at timestamptz)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_newest bigint;
begin
  v_newest := (kata_data.open_context(context_id)).version;
  return query
  select e.version, e.reason, e.erased_by, e.erased_at
  from (
    select s.segment_id, s.first_version, s.last_version
    from kata_data.segments(erasures.context_id, 1, v_newest) s
    offset 0
  ) s
  cross join lateral (
    select e.version, e.reason, e.erased_by, e.erased_at
    from kata_data.erasure e
    where e.segment_id = s.segment_id
      and e.version between s.first_version and s.last_version
    offset 0
  ) e
  order by e.version;
end
$$;
comment on function kata.erasures(uuid) is
'The erased messages of a context.

context_id: the context. Erasures through its forks and ancestors are listed, too.

Returns rows by version: version, reason, erased_by (the role), erased_at.
Errors: KC001, KC006. Cost: O(rows + fork depth).';
