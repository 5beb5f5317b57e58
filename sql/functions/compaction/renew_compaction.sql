-- A worker that is slow, not dead, keeps its lease by this.
-- plans: lookup

create or replace function kata.renew_compaction(compaction_id uuid, lease_seconds integer default 300) returns timestamptz
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_compaction kata_data.compaction;
  v_expires_at timestamptz;
begin
  v_compaction := (kata_data.open_compaction(compaction_id)).compaction;
  v_expires_at := kata_data.clock() + lease_seconds * interval '1 second';
  perform kata_data.check_compaction_arguments(null, lease_seconds);
  if v_compaction.status <> 'running' then
    perform kata_data.refuse_stale(v_compaction, format('It is %s: there is no lease to renew.', v_compaction.status));
  end if;
  update kata_data.compaction c
  set lease_expires_at = v_expires_at
  where c.compaction_id = renew_compaction.compaction_id;
  perform kata_data.set_due(v_compaction.context_id);
  return v_expires_at;
end
$$;
comment on function kata.renew_compaction(uuid, integer) is
'Extends the lease of a running compaction, even one that ran out, if no other worker took over.

compaction_id: as begin_compaction returned it.
lease_seconds: from now, 1 to 86,400.

Returns when the lease expires.
Errors: KC001, KC006, KC011 it is not running any more, KC017. Locks: the head of the context, then the compaction. Cost: O(1).';
