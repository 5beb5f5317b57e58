-- A provider looks back 20 blocks from a mark. Where more follow the end of the previous body, that end gets a mark, too: a bridge.

create or replace function kata_data.bridge_of(
  plan kata_data.plan, request kata_data.request, profile kata_data.request_profile, rows kata_data.prompt_row[]
) returns integer
language plpgsql stable
as $$
begin
  if plan.is_cold is not false or profile.cache <> 'anthropic' or profile.format <> 'anthropic' or (
    select sum(1 + coalesce(jsonb_array_length(r.tool_calls), 0) + coalesce(jsonb_array_length(r.parts), 0))
    from unnest(rows) r
    where r.version > plan.until) <= 15 then
    return null;
  end if;
  -- The rows of the previous body render as they did then.
  return jsonb_array_length(kata_data.rendered(
    array(select r from unnest(rows) r where r.version <= plan.until order by r.place, r.version),
    profile.format, profile.system, 'keep', coalesce(request.hidden_thinking, '{}'), profile.renderer) -> 'messages') - 1;
end
$$;
comment on function kata_data.bridge_of(kata_data.plan, kata_data.request, kata_data.request_profile, kata_data.prompt_row[]) is
'The place of the turn, from 0, whose end has a bridge in a body; null where none is needed.';
