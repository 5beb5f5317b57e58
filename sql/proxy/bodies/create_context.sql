-- A retry with the key goes to the same bucket. Where the name is taken on another shard, the call goes out without an id: the shard knows the
-- key, or refuses.
declare
  v_id uuid := kata_proxy.new_id(kata_proxy.bucket_for(idempotency_key, name));
  v_shard integer := kata_proxy.shard_of(v_id);
  v_token text := kata_proxy.token_of(v_id, 'tenant', idempotency_key);
  v_claims boolean := kata_proxy.can_be_claimed(name);
  v_made uuid;
begin
  perform kata_proxy.keep_tenant();
  if v_claims and kata_proxy.claim_name(name, v_id, v_token) is not null then
    v_id := '00000000-0000-0000-0000-000000000000';
    v_claims := false;
  end if;
  v_made := {call v_shard | kata_proxy.who(v_id, kata_proxy.deadline_of_name(v_claims))};
  perform kata_proxy.keep_name(v_claims, name, v_made, v_token);
  return v_made;
exception
  when others then
    perform kata_proxy.release_name(v_claims, name, v_token, sqlstate, sqlerrm);
    raise;
end;
