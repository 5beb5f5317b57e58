if context_id is not null then
  return query select {columns} from {call kata_proxy.shard_of(context_id)} x;
else
  return query
  select x.relation, sum(x.bytes)::bigint from {call all} x group by x.relation order by x.relation;
end if;
return;
