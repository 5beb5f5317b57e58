-- The rows of a recorded request, from its recipe.
-- plans: reader

create or replace function kata.request_rows(context_id uuid, request_id bigint)
returns table (
  ordinal integer, version bigint, "position" bigint, role text, content text, reason text, display text, tool_call_id text, tool_name text,
  tool_calls jsonb, model text, metadata jsonb, created_at timestamptz, kind text, name text, parts jsonb, provider jsonb, group_version bigint
)
language plpgsql stable rows 100 security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_request kata_data.request;
begin
  perform kata_data.open_context(context_id);
  v_request := kata_data.request_at(context_id, request_id);
  return query
  select (row_number() over (order by r.ordinal))::integer, r.version, r."position", r.role, r.content, r.reason,
    case
      when r.kind in ('stub', 'amended') then r.kind
      when v_request.hidden_thinking @> r.version and r.role = 'assistant' then 'without thinking'
      else 'whole'
    end,
    r.tool_call_id, r.tool_name, r.tool_calls, r.model, r.metadata, r.created_at, r.kind, r.name, r.parts, r.provider, r.group_version
  from unnest(kata_data.recipe_rows(v_request)) r
  order by r.ordinal;
end
$$;
comment on function kata.request_rows(uuid, bigint) is
'Lists the messages and summaries that a recorded request showed, in reading order.

context_id: the context. request_id: the request.

Returns rows: ordinal from 1, version, position, role, content (empty if it was erased since), reason (preamble, summary, recalled, or recent for
all else), display (whole, stub if it was shortened, amended, or without thinking), tool_call_id, tool_name, tool_calls, model,
metadata, created_at, kind (message, summary, stub, amended), name, parts, provider, group_version. There are no counts, because a recipe has none.
Errors: KC001, KC006, KC017 the context has no such request. Cost: O(log n + rows).';
