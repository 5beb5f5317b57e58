return query select {columns} from {call kata_proxy.shard_of(context_id)} x;
if dry_run is false then
  perform from kata_px.forget_names(array[context_id]);
end if;
return;
