-- Servers of the forms of OpenAI that take one system message only get neighbors as one.

create or replace function kata_data.joined_systems(messages jsonb) returns jsonb
language sql stable
as $$
  select coalesce(jsonb_agg(
    case when j.count = 1 then j.message else (j.message - 'name') || jsonb_build_object('content', kata_data.joined_contents(j.contents)) end
    order by j.place), '[]')
  from (
    select min(m.ordinality) as place, count(*) as count, (array_agg(m.message order by m.ordinality))[1] as message,
      array_agg(m.message -> 'content' order by m.ordinality) as contents
    from (
      select m.message, m.ordinality, count(*) filter (where not m.is_joined) over (order by m.ordinality rows unbounded preceding) as run
      from (
        select e.message, e.ordinality, coalesce(
          e.message ->> 'role' in ('system', 'developer') and lag(e.message ->> 'role') over (order by e.ordinality) in ('system', 'developer'), false) as is_joined
        from jsonb_array_elements(messages) with ordinality e(message, ordinality)
      ) m
    ) m
    group by m.run
  ) j
$$;
comment on function kata_data.joined_systems(jsonb) is
'The messages of a form of OpenAI with neighboring system and developer messages as one, of the role of the first.';

create or replace function kata_data.joined_contents(contents jsonb[]) returns jsonb
language plpgsql stable
as $$
declare
  v_list bigint;
  v_type text;
begin
  v_list := (select min(c.ordinality) from unnest(contents) with ordinality c(content, ordinality) where jsonb_typeof(c.content) = 'array');
  if v_list is null then
    return (
      select to_jsonb(string_agg(c.content #>> '{}', E'\n\n' order by c.ordinality))
      from unnest(contents) with ordinality c(content, ordinality));
  end if;
  v_type := contents[v_list] #>> '{0,type}';
  return (
    select jsonb_agg(p.part order by p.place, p.ordinality)
    from (
      select 0 as place, 0 as ordinality,
        jsonb_build_object('type', v_type, 'text', string_agg(c.content #>> '{}', E'\n\n' order by c.ordinality)) as part
      from unnest(contents[:v_list - 1]) with ordinality c(content, ordinality)
      having count(*) > 0
      union all
      select c.ordinality, e.ordinality, e.part
      from unnest(contents) with ordinality c(content, ordinality)
      cross join lateral jsonb_array_elements(case jsonb_typeof(c.content)
        when 'array' then c.content
        else jsonb_build_array(jsonb_build_object('type', v_type, 'text', c.content)) end) with ordinality e(part, ordinality)
      where c.ordinality >= v_list
    ) p);
end
$$;
comment on function kata_data.joined_contents(jsonb[]) is
'The contents of messages as one, texts with a blank line between. Where one is a list of parts, the texts before the first list are one part,
and those behind it one each.';
