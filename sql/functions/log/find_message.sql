-- Finds an entry by the id that the caller gave. Messages and records share the ids of a line, so the version may be that of a record.
-- plans: reader

create or replace function kata.find_message(context_id uuid, external_id text, at bigint default null) returns bigint
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_context record;
begin
  v_context := kata_data.open_context(context_id, at);
  return (
    select i.version
    from kata_data.entries_with_ids(context_id, array[find_message.external_id], v_context.at, v_context.view_version) i);
end
$$;
comment on function kata.find_message(uuid, text, bigint) is
'Returns the version of the message or record that has an external id; null when there is none.

An entry keeps its id when it is deleted from the view, covered by a compaction or erased; one that is rewound is not found.

context_id: the context; entries that it inherits are found, too. external_id: the exact id. at: as of this version; null for now.

Errors: KC001, KC002, KC006. Cost: one look-up per segment of the path.';
