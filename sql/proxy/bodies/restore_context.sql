declare
  v_shard integer := kata_proxy.shard_of(context_id);
  v_token text := kata_proxy.token_of(context_id, 'rename', context_id::text);
  v_name text := (select x.name from kata_px.get_context(kata_proxy.who(), v_shard, context_id) x);
  v_holder uuid;
  v_claims boolean;
begin
  v_holder := case when v_name is not null then kata_proxy.claim_name(v_name, context_id, v_token) end;
  v_claims := v_name is not null and v_holder is null;
  if v_holder is not null then
    raise exception using
      errcode = 'KC007',
      message = format('context %s cannot be restored: its name is taken', context_id),
      detail = 'Another live context of the tenant has the name.',
      hint = 'Rename or delete that one first; kata.find_context finds it.';
  end if;
  perform {call v_shard | kata_proxy.who(null, kata_proxy.deadline_of_name(v_claims))};
  perform kata_proxy.keep_name(v_claims, v_name, context_id, v_token);
  return;
exception
  when others then
    perform kata_proxy.release_name(v_claims, v_name, v_token, sqlstate, sqlerrm);
    raise;
end;
