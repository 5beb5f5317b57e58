-- Erases one entry of the log, and names everything that repeats it.
--
-- Locks, in addition to those that the caller holds: the families of the copies, the compactions that it ends, the message
-- (FOR UPDATE). A merge that copies the message right now shares its row: it is waited for, then its copy is seen. A later merge copies the
-- redacted message.

create or replace function kata_data.erase_entry(segment_id uuid, version bigint, what text, receipt kata_data.erasure)
returns setof kata_data.concerned_entry
language plpgsql volatile rows 10
as $$
declare
  -- Those to erase, the next one last: copies of copies can be many deep.
  v_entries kata_data.concerned_entry[] := array[row(segment_id, version, what)::kata_data.concerned_entry];
  v_entry kata_data.concerned_entry;
begin
  while v_entries <> '{}' loop
    v_entry := v_entries[cardinality(v_entries)];
    v_entries := trim_array(v_entries, 1);
    perform kata_data.lock_families(array[v_entry.segment_id]);
    if not kata_data.is_erased(v_entry.segment_id, v_entry.version) then
      perform kata_data.end_compactions(v_entry.segment_id, v_entry.version, receipt);
      perform kata_data.blank_acts(v_entry.segment_id, v_entry.version, receipt);
    end if;
    -- A copy may have been purged, and copies of it may remain.
    if kata_data.redact_message(v_entry.segment_id, v_entry.version, v_entry.what, receipt) then
      return query select v_entry.segment_id, v_entry.version, v_entry.what;
      return query
      select a.segment_id, a.version, a.what
      from kata_data.erase_amendments(v_entry.segment_id, v_entry.version, erase_entry.receipt) a;
      return query select s.segment_id, s.version, s.what from kata_data.summaries_of(v_entry.segment_id, v_entry.version) s;
    end if;
    -- A copy has one source, so a circle that an import has closed comes back to the first entry, and to no other.
    v_entries := v_entries || array(
      select row(c.segment_id, c.version, 'copy')::kata_data.concerned_entry
      from kata_data.copies_of(v_entry.segment_id, v_entry.version) c
      where (c.segment_id, c.version) <> (erase_entry.segment_id, erase_entry.version)
      order by c.segment_id desc, c.version desc);
  end loop;
end
$$;
comment on function kata_data.erase_entry(uuid, bigint, text, kata_data.erasure) is
'Erases a message and, one after the other, its merged copies and theirs.

An earlier erasure stays as recorded.
Returns one row per entry concerned. Runs as kata_eraser: the triggers of the log refuse every other role.';

create or replace function kata_data.is_erased(segment_id uuid, version bigint) returns boolean
language plpgsql volatile
as $$
begin
  return exists (
    select from kata_data.erasure e
    where e.segment_id = is_erased.segment_id
      and e.version = is_erased.version);
end
$$;
comment on function kata_data.is_erased(uuid, bigint) is 'Whether an entry was erased.

Volatile: it sees what was committed while the caller waited for a lock.';

create or replace function kata_data.record_erasure(segment_id uuid, version bigint, what text, receipt kata_data.erasure, content_digest bytea)
returns void
language sql volatile
as $$
  insert into kata_data.erasure (
    segment_id, version, what, reason, erased_by, erased_at, content_digest, act_context_id, act_number)
  values (
    segment_id, version, what, receipt.reason, receipt.erased_by, receipt.erased_at, content_digest, receipt.act_context_id, receipt.act_number)
$$;
comment on function kata_data.record_erasure(uuid, bigint, text, kata_data.erasure, bytea) is
'Writes the receipt of an erasure.

content_digest: of the text, before it goes: with it the digest of the entry can still be recomputed.';

create or replace function kata_data.redact_message(segment_id uuid, version bigint, what text, receipt kata_data.erasure) returns boolean
language plpgsql volatile
as $$
declare
  v_message kata_data.message;
begin
  select m.* into v_message
  from kata_data.message m
  where m.segment_id = redact_message.segment_id
    and m.version = redact_message.version
  for update;
  if not found then
    return false;
  end if;
  if kata_data.is_erased(segment_id, version) then
    return true;
  end if;
  perform kata_data.record_erasure(segment_id, version, what, receipt, kata_data.content_digest_of(v_message));
  v_message := kata_data.redacted(v_message);
  update kata_data.message m
  set salt = v_message.salt, content = v_message.content, name = v_message.name, model = v_message.model, parts = v_message.parts,
      provider = v_message.provider, metadata = v_message.metadata, tool_calls = v_message.tool_calls
  where m.segment_id = redact_message.segment_id
    and m.version = redact_message.version;
  update kata_data.stub s
  set salt = null, content = null
  where s.segment_id = redact_message.segment_id
    and s.group_version = v_message.group_version
    and s.version = redact_message.version
    and s.amendment_id is null;
  perform kata_data.forget_bodies(redact_message.segment_id, redact_message.version, redact_message.version);
  perform kata_data.forget_artifacts(redact_message.segment_id, redact_message.version);
  perform kata_data.forget_postings(redact_message.segment_id, redact_message.version);
  perform kata_data.forget_embeddings(redact_message.segment_id, redact_message.version);
  return true;
end
$$;
comment on function kata_data.redact_message(uuid, bigint, text, kata_data.erasure) is
'Redacts a message, with its stubs and artifacts, and records it; once.

Returns whether there is such a message.';

create or replace function kata_data.erase_summary(segment_id uuid, version bigint, receipt kata_data.erasure)
returns setof kata_data.concerned_entry
language plpgsql volatile rows 10
as $$
declare
  v_summary kata_data.summary;
begin
  select y.* into v_summary
  from kata_data.summary y
  where y.segment_id = erase_summary.segment_id
    and y.version = erase_summary.version
  for update;
  if not found then
    return;
  end if;
  if not kata_data.is_erased(segment_id, version) then
    perform kata_data.record_erasure(segment_id, version, 'message', receipt, kata_data.summary_digest(v_summary));
    update kata_data.summary y
    set salt = null, content = '', metadata = null
    where y.segment_id = erase_summary.segment_id
      and y.version = erase_summary.version;
    perform kata_data.forget_bodies(erase_summary.segment_id, erase_summary.version, erase_summary.version);
  end if;
  return query select erase_summary.segment_id, erase_summary.version, 'message';
  return query
  select a.segment_id, a.version, a.what
  from kata_data.erase_amendments(erase_summary.segment_id, erase_summary.version, erase_summary.receipt) a;
  return query select s.segment_id, s.version, s.what from kata_data.summaries_of(erase_summary.segment_id, erase_summary.version) s;
end
$$;
comment on function kata_data.erase_summary(uuid, bigint, kata_data.erasure) is
'Redacts a summary, and names those that have absorbed it.

Returns as erase_entry; nothing where there is no summary.';

create or replace function kata_data.erase_record(segment_id uuid, version bigint, receipt kata_data.erasure)
returns setof kata_data.concerned_entry
language plpgsql volatile rows 1
as $$
declare
  v_record kata_data.record;
begin
  select r.* into v_record
  from kata_data.record r
  where r.segment_id = erase_record.segment_id
    and r.version = erase_record.version
  for update;
  if not found then
    return;
  end if;
  if not kata_data.is_erased(segment_id, version) then
    perform kata_data.record_erasure(segment_id, version, 'message', receipt, kata_data.record_digest(v_record));
    update kata_data.record r
    set salt = null, data = null
    where r.segment_id = erase_record.segment_id
      and r.version = erase_record.version;
  end if;
  return query select erase_record.segment_id, erase_record.version, 'message';
end
$$;
comment on function kata_data.erase_record(uuid, bigint, kata_data.erasure) is
'Redacts the data of a record; nothing where there is no record.

Returns as erase_entry.';
