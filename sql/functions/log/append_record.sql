-- A record is an entry of the log that no model sees: an event, a decision, a state that belongs between two messages. It is stored as a
-- view change that leaves the view as it was, so it is versioned, digested, forked and verified as the rest. Locks the head, looks up the
-- external id, then the key, then writes.
-- plans: writer

create or replace function kata.append_record(
  context_id uuid,
  kind text,
  data jsonb,
  external_id text default null,
  idempotency_key text default null,
  on_duplicate text default 'error'
) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_head kata_data.head;
  v_version bigint;
  v_taken bigint;
  v_known jsonb;
  v_record kata_data.record;
begin
  perform kata_data.check_on_duplicate(on_duplicate);
  v_head := kata_data.lock_context(context_id);
  perform kata_data.check_record(kind, data, external_id);
  if external_id is not null then
    v_taken := (select i.version from kata_data.entries_with_ids(context_id, array[append_record.external_id], v_head.version, v_head.view_version) i);
  end if;
  v_version := coalesce(v_taken, v_head.version + 1);
  if idempotency_key is not null then
    v_known := kata_data.use_key(
      'context:' || context_id, idempotency_key, 'append_record', jsonb_build_array(kind, data, external_id), to_jsonb(v_version),
      v_taken is not null and kata_data.names_erased(context_id, array[v_taken]));
    if v_known is not null then
      perform kata_data.check_known(v_head, kata_data.known_versions(v_known), idempotency_key);
      return v_known::bigint;
    end if;
  end if;
  if v_taken is not null then
    if on_duplicate = 'error' then
      perform kata_data.refuse_taken_id(context_id, external_id, v_taken);
    end if;
    return v_taken;
  end if;
  if external_id is not null then
    insert into kata_data.entry_id (segment_id, external_id, version)
    values (append_record.context_id, append_record.external_id, v_version);
  end if;
  insert into kata_data.record as r (segment_id, version, kind, external_id, salt, data)
  values (
    append_record.context_id, v_version, append_record.kind, append_record.external_id, kata_data.new_salt(), append_record.data)
  returning r.segment_id, r.version, r.kind, r.external_id, r.salt, r.data into v_record;
  return kata_data.add_change(v_head, kata_data.new_change('record', '{}'), record => v_record);
end
$$;
comment on function kata.append_record(uuid, text, jsonb, text, text, text) is
'Appends a record: an entry of the log that no window, prompt or count shows.

A record takes a version and is part of forks, history and the chain of digests. It does not conflict with expected_version, makes no
compaction due, and cannot be undone; kata.erase_message removes its data.

context_id: the context. kind: 1 to 255 characters, by which kata.records filters. data: any JSON, at most 1 MB.
external_id: 1 to 255 characters, unique among the messages and records of the line; null for none. An erasure leaves kind and
  external id: put no personal data into them.
idempotency_key: 1 to 255 characters; the same request again within seven days returns the first result.
on_duplicate: where the external id is taken, ''error'' refuses the record, ''skip'' appends nothing.

Returns the version that the record took, or that of the entry which has the external id.
Errors: KC001, KC004 the external id is taken (DETAIL names the version), KC006, KC017, KC019, KC021 what the key has done is
rewound.
Locks: the head of the context. Cost: O(size + pieces of the view + fork depth).';

create or replace function kata_data.check_record(kind text, data jsonb, external_id text) returns void
language plpgsql immutable
as $$
declare
  v_detail text := case
    when coalesce(length(kind), 0) not between 1 and 255 then format('Its kind has %s characters, not 1 to 255.', coalesce(length(kind), 0))
    when length(external_id) not between 1 and 255 then format('Its external id has %s characters, not 1 to 255.', length(external_id))
    when data is null then 'Its data are null.'
    when octet_length(data::text) > 1048576 then format('Its data are %s bytes long.', octet_length(data::text))
    when not kata_data.json_fits(data) then 'Its data nest more than 100 deep, or hold a number beyond 1e308.'
  end;
begin
  if v_detail is not null then
    raise exception using
      errcode = 'KC017',
      message = 'the record is invalid',
      detail = v_detail,
      hint = 'Pass a kind and JSON of at most 1 MB; keep larger data elsewhere, and record where.';
  end if;
end
$$;
comment on function kata_data.check_record(text, jsonb, text) is 'Refuses a record that is not valid. KC017.';
