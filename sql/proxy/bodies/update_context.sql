declare
  v_shard integer := kata_proxy.shard_of(context_id);
  v_token text := kata_proxy.token_of(context_id, 'rename', context_id::text);
  v_claims boolean := kata_proxy.can_be_claimed(name) and context_id is not null;
  v_holder uuid;
begin
  v_holder := case when v_claims then kata_proxy.claim_name(name, context_id, v_token) end;
  v_claims := v_claims and v_holder is null;
  if v_holder is not null then
    perform kata_proxy.refuse_name(name);
  end if;
  perform {call v_shard | kata_proxy.who(null, kata_proxy.deadline_of_name(v_claims))};
  perform kata_proxy.keep_name(v_claims, name, context_id, v_token);
  return;
exception
  when others then
    perform kata_proxy.release_name(v_claims, name, v_token, sqlstate, sqlerrm);
    raise;
end;
