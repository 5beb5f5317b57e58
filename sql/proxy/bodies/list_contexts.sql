if order_by = 'updated' and after is not null then
  raise exception using
    errcode = 'KC017',
    message = 'a proxy lists one page by the last change',
    detail = 'The context of after is on one shard, and the others do not know when it changed.',
    hint = 'Pass no after and a larger max_rows, or list by the creation.';
end if;
return query
select {columns} from {call all} x
order by case when order_by = 'updated' then x.updated_at end desc, x.context_id desc
limit nullif(greatest(max_rows, 0), 0);
return;
