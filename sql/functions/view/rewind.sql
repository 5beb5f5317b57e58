-- Goes back to the state of an earlier version. The log only grows: what came after that version is hidden, and stays readable by version.
-- plans: writer

create or replace function kata.rewind(
  context_id uuid, to_version bigint, expected_version bigint default null, idempotency_key text default null
) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_head kata_data.head;
  v_known jsonb;
  v_change kata_data.view_change;
begin
  v_head := kata_data.lock_context(context_id);
  if idempotency_key is not null then
    v_known := kata_data.use_key(
      'context:' || context_id, idempotency_key, 'rewind', jsonb_build_array(to_version), to_jsonb(v_head.version + 1));
    if v_known is not null then
      perform kata_data.check_known(v_head, kata_data.known_versions(v_known), idempotency_key);
      return v_known::bigint;
    end if;
  end if;
  perform kata_data.check_expected_version(v_head, expected_version);
  perform kata_data.check_version(context_id, to_version, v_head.version, 'Pass one of these; 0 is the empty context.');
  if to_version = v_head.version then
    perform kata_data.refuse_no_change(format('Context %s is at version %s.', context_id, to_version));
  end if;
  v_change := kata_data.new_change('rewind', '{}');
  v_change.rewound_to := to_version;
  return kata_data.add_change(v_head, v_change);
end
$$;
comment on function kata.rewind(uuid, bigint, bigint, text) is
'Goes back to the state of an earlier version.

A model sees again exactly what it saw then: messages, summaries, pins, elisions and deletions are those of that version, and calls that
were open then are open. Later entries are rewound: hidden, and not destroyed. kata.get_message reads them, the list all and kata.history
name them, and a rewind to one of their versions brings them back. To remove text permanently, use kata.erase_message; to continue from a version and
keep the present, use kata.fork.

context_id: the context. to_version: any version below the newest, 0 for the empty context; one that is rewound goes forward again.
expected_version: a version since which no message may have been appended, deleted, amended or rewound.
idempotency_key: 1 to 255 characters; the same request again within seven days returns the first result.

Returns the version that the rewind took. kata.undo takes it back while it is the newest entry.
Errors: KC001, KC002, KC003 version conflict, KC006, KC017 the context is at this version, KC019, KC021 what the key has done is rewound.
Locks: the head of the context. Cost: O(log n + pieces of the view); if a call was open at the version, as kata.fork.';
