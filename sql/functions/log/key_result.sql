-- The question before a call that costs money: did the last attempt, whose answer was lost, do its work?
-- plans: reader

create or replace function kata.key_result(
  context_id uuid, idempotency_key text, out function_name text, out result jsonb, out created_at timestamptz,
  out rewound_by bigint
) returns setof record
language plpgsql stable rows 1 security definer set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_context record;
begin
  v_context := kata_data.open_context(context_id);
  return query
  select i.function_name, i.result, i.created_at,
    case when i.function_name <> 'fork' and v_context.view_version is not null then kata_data.rewind_of_result(
      key_result.context_id, (kata_data.view_at(key_result.context_id, v_context.at)).rewound, i.result) end
  from kata_data.idempotency i
  where i.scope = 'context:' || key_result.context_id
    and i.key = key_result.idempotency_key
    and i.created_at >= kata_data.clock() - interval '7 days';
end
$$;
comment on function kata.key_result(uuid, text) is
'Returns what an idempotency key of a context has done, without doing it.

A caller whose attempt was cut off asks before it pays a model again. A call that is not committed yet has done nothing.

context_id: the context that the call was about; of kata.fork the parent, of kata.merge the target.
idempotency_key: of a call of the last seven days.

Returns one row, or none where the key is free: function_name (append, for append_message, too; append_record, merge, rewind, fork), result,
created_at, rewound_by (the rewind that took the result back, or null: the same request again with the key is KC021). The result of append and merge is an object with the arrays versions and is_new, that of append_record and rewind a version, that of
fork the id of the new context.
Errors: KC001, KC006 deleted. Cost: O(1).';

create or replace function kata_data.rewind_of_result(context_id uuid, rewound int8multirange, result jsonb) returns bigint
language sql stable
as $$
  select min(kata_data.rewound_by(rewind_of_result.context_id, rewound, v.version))
  from unnest(kata_data.known_versions(result)) v(version)
$$;
comment on function kata_data.rewind_of_result(uuid, int8multirange, jsonb) is
'The rewind that took back what an idempotency key has done; null for none. rewound: of the view.';
