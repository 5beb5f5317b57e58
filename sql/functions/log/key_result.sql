-- The question before a call that costs money: did the last attempt, whose answer was lost, do its work?
-- plans: lookup

create or replace function kata.key_result(
  context_id uuid, idempotency_key text, out function_name text, out result jsonb, out created_at timestamptz
) returns setof record
language plpgsql stable rows 1 security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
begin
  perform kata_data.open_context(context_id);
  return query
  select i.function_name, i.result, i.created_at
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

Returns one row, or none where the key is free: function_name (append, for append_message, too; append_record, merge, fork), result,
created_at. The result of append and merge is an object with the arrays versions and is_new, that of append_record a version, that of
fork the id of the new context.
Errors: KC001, KC006 deleted. Cost: O(1).';
