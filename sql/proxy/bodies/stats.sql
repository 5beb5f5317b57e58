-- Numbers are summed; of times the oldest or the newest counts, as the name says.
return (
  select coalesce(jsonb_object_agg(t.tenant, t.fields), '{}')
  from (
    select v.tenant, jsonb_object_agg(v.field, v.value) as fields
    from (
      select t.key as tenant, f.key as field,
        case
          when bool_or(jsonb_typeof(f.value) = 'number') then to_jsonb(sum((f.value #>> '{}')::numeric) filter (where jsonb_typeof(f.value) = 'number'))
          when f.key like 'oldest%' then to_jsonb(min((f.value #>> '{}')::timestamptz) filter (where jsonb_typeof(f.value) = 'string'))
          else to_jsonb(max((f.value #>> '{}')::timestamptz) filter (where jsonb_typeof(f.value) = 'string'))
        end as value
      from kata_px.stats_on_all(kata_proxy.who()) s(counts)
      cross join jsonb_each(s.counts) t
      cross join jsonb_each(t.value) f
      group by t.key, f.key
    ) v
    group by v.tenant
  ) t);
