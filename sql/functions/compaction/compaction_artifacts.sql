-- The references that a summary must keep, by the id of the compaction, so that a worker for all tenants needs no tenant.
-- plans: artifacts

create or replace function kata.compaction_artifacts(compaction_id uuid, max_rows integer default 200)
returns table (kind text, ref text, detail jsonb, first_version bigint, last_version bigint, mentions bigint)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off set jit = off
as $$
declare
  v_context_id uuid;
  v_compaction kata_data.compaction;
begin
  v_context_id := kata_data.compaction_context(compaction_id);
  perform kata_data.check_max_rows(max_rows);
  select c.* into strict v_compaction from kata_data.compaction c where c.compaction_id = compaction_artifacts.compaction_id;
  return query
  select p.kind, p.ref, p.detail, p.first_version, p.last_version, p.mentions
  from kata_data.path_artifacts(
    v_context_id, upper(v_compaction.covered) - 1, 1000, kata_data.view_at(v_context_id, v_compaction.base_version), v_compaction.base_version) p
  order by p.last_version desc, p.kind collate "C", p.ref collate "C"
  limit max_rows;
end
$$;
comment on function kata.compaction_artifacts(uuid, integer) is
'The artifacts that a summary should name: those of the context as of the last covered version.

They come last mentioned first. Later mentions stay in the view; kata.artifacts lists all artifacts.

compaction_id: as begin_compaction or claim_due_compaction returned it.
max_rows: 1 to 1,000.

Returns rows as artifacts: kind, ref, detail, first_version, last_version, mentions.
Errors: KC001, KC006, KC017. Cost: as artifacts; takes no lock.';
