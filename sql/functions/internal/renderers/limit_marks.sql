-- Providers take at most four marks of a cache in a request. The newest stay: each covers all that comes before it. Anthropic refuses a mark
-- of an hour behind a shorter one.

create or replace function kata_data.limit_marks(messages jsonb, mark text) returns jsonb
language plpgsql stable
as $$
declare
  v_path jsonpath := format('$[*].content[*] ? (exists(@.%s) || exists(@.content[*].%s))', mark, mark)::jsonpath;
begin
  if not messages @? v_path and not messages @? '$[*].output[*].prompt_cache_breakpoint' then
    return messages;
  end if;
  return (
    with block as (
      select s.*, kata_data.count_marks(s.block, mark) as marks
      from (
        select m.ordinality as turn, m.field, b.ordinality as place, kata_data.with_sent_marks(b.block, mark) as block
        from (
          -- The blocks of an item of the Responses form may be its output.
          select e.message, e.ordinality, case when jsonb_typeof(e.message -> 'output') = 'array' then 'output' else 'content' end as field
          from jsonb_array_elements(messages) with ordinality e(message, ordinality)
        ) m
        cross join lateral jsonb_array_elements(
          case jsonb_typeof(m.message -> m.field) when 'array' then m.message -> m.field end) with ordinality b(block, ordinality)
      ) s
    ),
    counted as (
      select b.turn, b.field, b.place, b.block, sum(b.marks) over (order by b.turn desc, b.place desc) as marks
      from block b
    ),
    kept as (
      select c.turn, c.field, c.place, case when c.marks > 4 then kata_data.without_marks(c.block, mark) else c.block end as block
      from counted c
    ),
    timed as (
      select k.turn, k.field, k.place, case
          when k.block @? '$.**.cache_control.ttl ? (@ == "1h")'
            and bool_or(k.block @? '$.**.cache_control ? (!(@.ttl == "1h"))') over (order by k.turn, k.place)
          then kata_data.with_short_marks(k.block)
          else k.block
        end as block
      from kept k
    ),
    turn as (
      select t.turn, jsonb_build_object(t.field, jsonb_agg(t.block order by t.place)) as blocks
      from timed t
      group by t.turn, t.field
    )
    select jsonb_agg(m.message || coalesce(t.blocks, '{}') order by m.ordinality)
    from jsonb_array_elements(messages) with ordinality m(message, ordinality)
    left join turn t on t.turn = m.ordinality);
end
$$;
comment on function kata_data.limit_marks(jsonb, text) is
'Messages, or items, with the newest four marks of a cache, those of an hour before shorter ones. mark: the field that is one.';

create or replace function kata_data.with_short_marks(block jsonb) returns jsonb
language sql stable
as $$
  select (block #- '{cache_control,ttl}') || case when jsonb_typeof(block -> 'content') = 'array' then jsonb_build_object('content', coalesce((
    select jsonb_agg(e.element #- '{cache_control,ttl}' order by e.ordinality)
    from jsonb_array_elements(block -> 'content') with ordinality e(element, ordinality)), '[]')) else '{}' end
$$;
comment on function kata_data.with_short_marks(jsonb) is 'A block whose marks of a cache have the usual time; the provider refuses longer ones behind shorter ones.';

create or replace function kata_data.count_marks(block jsonb, mark text) returns integer
language sql immutable
as $$
  select (block ? mark)::integer + case jsonb_typeof(block -> 'content') when 'array' then (
    select count(*)::integer
    from jsonb_array_elements(block -> 'content') e(element)
    where e.element ? mark) else 0 end
$$;
comment on function kata_data.count_marks(jsonb, text) is 'How many marks of a cache a block has, those in its content included.';

create or replace function kata_data.without_marks(block jsonb, mark text) returns jsonb
language sql stable
as $$
  select block - mark || case when jsonb_typeof(block -> 'content') = 'array' then jsonb_build_object('content', coalesce((
    select jsonb_agg(e.element - mark order by e.ordinality)
    from jsonb_array_elements(block -> 'content') with ordinality e(element, ordinality)), '[]')) else '{}' end
$$;
comment on function kata_data.without_marks(jsonb, text) is 'A block without marks of a cache.';

create or replace function kata_data.limit_system_marks(system jsonb, messages jsonb) returns jsonb
language plpgsql stable
as $$
declare
  v_limited jsonb;
begin
  if jsonb_typeof(system) <> 'array' then
    return jsonb_build_object('system', system, 'messages', kata_data.limit_marks(messages, 'cache_control'));
  end if;
  v_limited := kata_data.limit_marks(jsonb_build_array(jsonb_build_object('content', system)) || messages, 'cache_control');
  return jsonb_build_object('system', v_limited #> '{0,content}', 'messages', v_limited - 0);
end
$$;
comment on function kata_data.limit_system_marks(jsonb, jsonb) is 'A prompt in the Anthropic form with the newest four marks of a cache.';
