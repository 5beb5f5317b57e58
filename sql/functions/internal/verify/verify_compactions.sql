-- Compactions agree with the view changes that they made.

create or replace function kata_data.verify_compactions(context_id uuid) returns setof kata_data.finding
language plpgsql stable rows 10
as $$
begin
  return query
  select v.version, 'compaction', 'No committed compaction made it.'
  from kata_data.view_change v
  where v.segment_id = verify_compactions.context_id
    and v.kind = 'compaction'
    and not exists (
      select from kata_data.compaction c
      where c.context_id = verify_compactions.context_id
        and c.status = 'committed'
        and c.summary_version = v.version
        and c.covered = v.versions)
  order by v.version;
  return query
  select c.summary_version, 'compaction', format('Compaction %s is committed, and has no view change.', c.compaction_id)
  from kata_data.compaction c
  where c.context_id = verify_compactions.context_id
    and c.status = 'committed'
    and not exists (
      select from kata_data.view_change v
      where v.segment_id = verify_compactions.context_id
        and v.version = c.summary_version
        and v.kind = case c.strategy when 'elide' then 'elision' else 'compaction' end)
  order by c.summary_version;
end
$$;
comment on function kata_data.verify_compactions(uuid) is
'Where the compactions of a context and its own view changes do not agree.

Of a purged context, those that are kept.';
