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
    with block as (
      select m.ordinality as turn, b.ordinality as place, b.block, coalesce(b.block -> 'tool_use_id', b.block -> 'id') #>> '{}' as id,
        b.block ->> 'type' = 'server_tool_use' as is_call,
        b.block ->> 'type' = 'server_tool_use' or b.block ->> 'type' ~ ('_tool_result$' collate "C") as is_server
      from jsonb_array_elements(messages) with ordinality m(message, ordinality)
      cross join lateral jsonb_array_elements(m.message -> 'content') with ordinality b(block, ordinality)
    ),
    used as (
      select b.*, count(*) filter (where b.is_call) over (partition by b.is_server, b.id order by b.turn, b.place) as use
      from block b
    ),
    -- The first call and the first result of a use, if both are in one turn and in this order. A call of the last turn may wait.
    kept as (
      select u.id, u.use, u.turn, min(u.place) filter (where u.is_call) as call, min(u.place) filter (where not u.is_call) as result
      from used u
      where u.is_server
      group by u.id, u.use, u.turn
      having bool_or(u.is_call) and (bool_or(not u.is_call) or u.turn = jsonb_array_length(messages))
    ),
    sent as (
      select u.turn, u.place, case when u.is_server then kata_data.with_server_id(u.block, u.id, u.use) else u.block end as block
      from used u
      left join kept k on k.id = u.id and k.use = u.use and k.turn = u.turn and u.is_server
      where not u.is_server or u.place in (k.call, k.result)
    )
    select jsonb_agg(m.message || jsonb_build_object('content', coalesce((
        select jsonb_agg(s.block order by s.place)
        from sent s
        where s.turn = m.ordinality
          -- A turn does not end with thinking, where a call behind it is left out.
          and s.place <= (
            select max(l.place)
            from sent l
            where l.turn = m.ordinality
              and l.block ->> 'type' not in ('thinking', 'redacted_thinking'))), '[{"type": "text", "text": "[left out]"}]')) order by m.ordinality)
    from jsonb_array_elements(messages) with ordinality m(message, ordinality));
end
$$;
comment on function kata_data.pair_server_calls(jsonb) is
'Turns in which each call of a provider''s own tool has its result in the same turn, and an id of its own.';

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
