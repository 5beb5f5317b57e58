return query
select x.name, x.dimensions, sum(x.embeddings)::bigint, sum(x.bytes)::bigint,
  case when count(distinct coalesce(x.index_state, '')) = 1 then min(x.index_state) else 'invalid' end, x.tenant
from kata_px.embedding_models_on_all(kata_proxy.who()) x
group by x.name, x.dimensions, x.tenant
order by x.tenant collate "C", x.name collate "C";
return;
