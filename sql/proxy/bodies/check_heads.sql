-- Each shard compares the heads whose buckets it has; what is not a head, and not an array, goes to the first one, which refuses it.
declare
  v_shards integer[] := array(
    select case
      when h.value ->> 'context_id' ~* '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$'
        then kata_proxy.shard_of((h.value ->> 'context_id')::uuid)
      else kata_proxy.shard_of(null)
    end
    from jsonb_array_elements(case when jsonb_typeof(heads) = 'array' then heads else '[]' end) with ordinality h
    order by h.ordinality);
begin
  if v_shards = '{}' or cardinality(v_shards) > 1000 then
    return query select {columns} from {call kata_proxy.shard_of(null)} x;
    return;
  end if;
  return query
  select x.context_id, x.version, x.problem, x.detail
  from (
    select s.shard, jsonb_agg(heads -> (s.ordinality::integer - 1) order by s.ordinality) as heads
    from unnest(v_shards) with ordinality s(shard, ordinality)
    group by s.shard
  ) s
  cross join lateral kata_px.check_heads(kata_proxy.who(), s.shard, s.heads) x
  order by (
    select min(h.ordinality) from jsonb_array_elements(heads) with ordinality h where h.value ->> 'context_id' = x.context_id::text);
  return;
end;
