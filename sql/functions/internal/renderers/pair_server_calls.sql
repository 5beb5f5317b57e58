-- Tools that the provider runs: call and result are blocks of one turn of the assistant. A log may hold one without the other, where a
-- turn was cut, and an id twice, after a merge.

create or replace function kata_data.pair_server_calls(messages jsonb) returns jsonb
language plpgsql stable
as $$
begin
  if not messages @? '$[*].content[*] ? (@.type == "server_tool_use" || @.type like_regex "_tool_result$")' then
    return messages;
  end if;
  return (
    select jsonb_agg(t.message || jsonb_build_object('content', t.content) order by t.turn)
    from (
      select s.turn, s.message, coalesce(jsonb_agg(
          case when s.is_server then kata_data.with_server_id(s.block, s.id, s.use) else s.block end order by s.place)
          -- A turn does not end with thinking, where a call behind it is left out.
          filter (where s.is_sent and s.place <= s.last), '[{"type": "text", "text": "[left out]"}]') as content
      from (
        select p.*, max(p.place) filter (where p.is_sent and p.block ->> 'type' not in ('thinking', 'redacted_thinking'))
          over (partition by p.turn) as last
        from (
          -- Of a use the first call and the first result go out, if both are in one turn and in this order. A call of the last turn may wait.
          select u.*, not u.is_server or (u.place in (u.call, u.result) and (u.result is not null or u.turn = jsonb_array_length(messages))
            and u.call is not null) as is_sent
          from (
            select c.*, min(c.place) filter (where c.is_call) over same_use as call, min(c.place) filter (where not c.is_call) over same_use as result
            from kata_data.server_uses(messages) c
            window same_use as (partition by c.is_server, c.id, c.use, c.turn)
          ) u
        ) p
      ) s
      group by s.turn, s.message
    ) t);
end
$$;
comment on function kata_data.pair_server_calls(jsonb) is
'Turns in which each call of a provider''s own tool has its result in the same turn, and an id of its own.';

create or replace function kata_data.server_uses(messages jsonb)
returns table (message jsonb, turn bigint, block jsonb, place bigint, id text, is_call boolean, is_server boolean, use bigint)
language sql stable rows 100
as $$
  select b.*, count(*) filter (where b.is_call) over (partition by b.is_server, b.id order by b.turn, b.place) as use
  from (
    select m.message, m.turn, b.block, b.place, coalesce(b.block -> 'tool_use_id', b.block -> 'id') #>> '{}' as id,
      b.block ->> 'type' = 'server_tool_use' as is_call,
      b.block ->> 'type' = 'server_tool_use' or b.block ->> 'type' ~ ('_tool_result$' collate "C") as is_server
    from (
      select e.message - 'content' as message, e.message -> 'content' as content, e.ordinality as turn
      from jsonb_array_elements(messages) with ordinality e(message, ordinality)
      offset 0
    ) m
    cross join lateral jsonb_array_elements(m.content) with ordinality b(block, place)
  ) b
$$;
comment on function kata_data.server_uses(jsonb) is
'The blocks of turns; use: how often the id of a call, or of the call that a result is for, has been used, this time included.';

create or replace function kata_data.with_server_id(block jsonb, id text, use bigint) returns jsonb
language sql stable
as $$
  select case
    when use = 1 and id !~ ('_u[0-9]+$' collate "C") then block
    else block || jsonb_build_object(case when block ? 'tool_use_id' then 'tool_use_id' else 'id' end, format('%s_u%s', id, use))
  end
$$;
comment on function kata_data.with_server_id(jsonb, text, bigint) is
'The call of a provider''s own tool, or its result, with an id that is unique in a prompt. use: how often the id has been used, this time included.';
