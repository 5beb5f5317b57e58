-- Whether a body in the Anthropic Messages form must turn thinking off. It follows from the rows, so that a replay has the same bytes.

create or replace function kata_data.stops_thinking_1(rows kata_data.prompt_row[], hidden int8multirange) returns boolean
language sql immutable
as $$
  select l.is_tool and exists (
    select
    from unnest(rows) r
    where r.role = 'assistant'
      and r.parts is not null
      and r.version > l.turn
      and hidden @> r.version
      and r.parts @? '$[*] ? (@.type == "thinking" && @.signature != "" || @.type == "redacted_thinking")')
  from (
    select
      coalesce((array_agg(r.role = 'tool' or r.tool_calls is not null order by r.place desc, r.version desc))[1], false) as is_tool,
      coalesce(max(r.version) filter (where r.role = 'user'), 0) as turn
    from unnest(rows) r
    where r.kind = 'message'
      and hidden is not null
  ) l
$$;
comment on function kata_data.stops_thinking_1(kata_data.prompt_row[], int8multirange) is
'Whether thinking must be off: the open tool turn began with thinking that is not sent, and a provider refuses to go on without it.';
