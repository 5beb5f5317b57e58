-- The two promises about a request, checked under the lock of the head: the key comes before the expected version, so that a retry gets its
-- first result although the version has moved.

create or replace function kata_data.check_request(
  head kata_data.head, messages jsonb, ids kata_data.batch_ids, expected_version bigint, idempotency_key text
) returns kata_data.batch_ids
language plpgsql volatile
as $$
declare
  v_known jsonb;
begin
  if idempotency_key is not null then
    -- The fingerprint is of the caller's JSON, not of rows: a column that is added later does not change it.
    v_known := kata_data.use_key(
      'context:' || head.context_id, idempotency_key, 'append', messages,
      jsonb_build_object(
        'versions', coalesce(ids.versions, kata_data.versions_after(head.version, jsonb_array_length(messages))),
        'is_new', coalesce(ids.is_new, array_fill(true, array[jsonb_array_length(messages)]))),
      false = any (ids.is_new) and kata_data.names_erased(head.context_id, ids.versions));
  end if;
  if v_known is not null then
    perform kata_data.check_known(head, kata_data.known_versions(v_known), idempotency_key);
  else
    perform kata_data.check_expected_version(head, expected_version);
  end if;
  return jsonb_populate_record(null::kata_data.batch_ids, v_known);
end
$$;
comment on function kata_data.check_request(kata_data.head, jsonb, kata_data.batch_ids, bigint, text) is
'The result that a request had the first time, if its idempotency key was used before; else null, after checking expected_version.

ids: null where no message has an external id. KC003, KC017, KC019, KC021.';

create or replace function kata_data.known_versions(result jsonb) returns bigint[]
language sql immutable
as $$
  select array(
    select v.version::bigint
    from jsonb_array_elements_text(case jsonb_typeof(result) when 'object' then result -> 'versions' else jsonb_build_array(result) end) v(version))
$$;
comment on function kata_data.known_versions(jsonb) is
'The versions in the result of an idempotency key of append, merge, append_record, amend or rewind.';

create or replace function kata_data.check_known(head kata_data.head, versions bigint[], key text) returns void
language plpgsql stable
as $$
begin
  if head.view_version is not null then
    perform kata_data.refuse_rewound(
      head.context_id, (kata_data.view_at(head.context_id, head.version)).rewound, versions, key);
  end if;
end
$$;
comment on function kata_data.check_known(kata_data.head, bigint[], text) is
'Refuses a retry whose first result is not on the line any more. KC021.';

create or replace function kata_data.check_expected_version(head kata_data.head, expected_version bigint) returns void
language plpgsql immutable
as $$
begin
  if expected_version not between head.content_version and head.version then
    raise exception using
      errcode = 'KC003',
      message = format('version conflict on context %s', head.context_id),
      detail = format('Version %s was expected; the context is at version %s, and its last message is version %s.',
        expected_version, head.version, head.content_version),
      hint = 'Read what came in between, then try again with the new version.';
  end if;
end
$$;
comment on function kata_data.check_expected_version(kata_data.head, bigint) is
'Refuses a version since which a message was appended, deleted, amended or rewound. KC003.';

create or replace function kata_data.versions_after(version bigint, length integer) returns bigint[]
language sql immutable
as $$
  select array(select versions_after.version + i from generate_series(1, length) i)
$$;
comment on function kata_data.versions_after(bigint, integer) is 'So many versions after one.';
