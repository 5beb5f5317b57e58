-- One context with its totals; a deleted one, too.
-- plans: lookup

create or replace function kata.get_context(
  inout context_id uuid,
  out name text, out tenant text, out parent_id uuid, out fork_version bigint, out depth integer, out version bigint,
  out message_count bigint, out raw_tokens bigint, out view_tokens bigint, out tokenizer text, out open_calls text[],
  out metadata jsonb, out created_at timestamptz, out updated_at timestamptz, out archived_at timestamptz,
  out deleted_at timestamptz
) returns setof record
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
begin
  perform kata_data.open_context(context_id, access => 'any');
  return query
  select r.*
  from kata_data.context_row r
  where r.context_id = get_context.context_id;
end
$$;
comment on function kata.get_context(uuid) is
'Returns one context, deleted or not.

context_id: the context.

Returns one row: context_id, name, tenant, parent_id and fork_version (of a fork, else null), depth (0 for a root), version,
message_count and raw_tokens (of the whole path), view_tokens (what a model would see), tokenizer, open_calls (ids of the tool calls
without result, oldest first), metadata, created_at, updated_at (last append or change), archived_at, deleted_at.
Errors: KC001. Cost: O(1).';
