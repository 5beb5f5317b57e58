-- The receipts of purge_context.
-- plans: lookup

create or replace function kata.purges(context_id uuid)
returns table (purged_at timestamptz, purged_by text, cause_id uuid, removed bigint, kept bigint)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
begin
  perform kata_data.open_context(context_id, access => 'any');
  return query
  select p.purged_at, p.purged_by, p.cause_id, p.removed, p.kept
  from kata_data.purge p
  where p.context_id = purges.context_id
  order by p.purge_id;
end
$$;
comment on function kata.purges(uuid) is
'The receipts of a purged context.

context_id: the context, purged or not.

The first receipt is of its own purge, the others of later purges of forks, since which less of it is needed.
Returns rows, oldest first: purged_at, purged_by (the role), cause_id (the context whose purge it was), removed and kept (entries that
this context wrote, removed by that purge and still kept).
Errors: KC001. Cost: O(rows).';
