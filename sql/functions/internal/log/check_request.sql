-- The two promises about a request, checked under the lock of the head: the key comes before the expected version, so that a retry gets its
-- first result although the version has moved.

create or replace function kata_data.check_request(
  context_id uuid, drafts kata_data.message[], expected_version bigint, idempotency_key text, first_version bigint, content_version bigint
) returns bigint
language plpgsql volatile
as $$
declare
  v_known bigint;
begin
  if idempotency_key is not null then
    v_known := (kata_data.use_key(
      'context:' || context_id, idempotency_key, sha256(convert_to(drafts::text, 'UTF8')),
      jsonb_build_object('first_version', first_version, 'last_version', first_version + cardinality(drafts) - 1)) -> 'first_version')::bigint;
  end if;
  if v_known is null and expected_version not between content_version and first_version - 1 then
    raise exception using
      errcode = 'KC003',
      message = format('version conflict on context %s', context_id),
      detail = format('Version %s was expected; the context is at version %s, and its last message is version %s.',
        expected_version, first_version - 1, content_version),
      hint = 'Read what came in between, then append again with the new version.';
  end if;
  return v_known;
end
$$;
comment on function kata_data.check_request(uuid, kata_data.message[], bigint, text, bigint, bigint) is
'The first version that a request took the first time, if its idempotency key was used before; else null, after checking expected_version.
KC003, KC017, KC019.';
