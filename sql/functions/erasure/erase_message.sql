-- Redacts a message and keeps history: version, totals, groups and the chain of digests stay.
-- kata: owner kata_eraser
--
-- Locks, in this order: the families of the context and of every context that has a copy, which a compaction that starts and a request share; the
-- marks of their search indexes; the head, as every change of a context does; the compactions that it
-- ends, where one whose commit came first is waited for, and named; the message and its copies (FOR UPDATE); keys that name them. A merge or an elision shares
-- the rows that it reads, so either its copy is seen, or it copies the redacted message.
-- plans: lookup

create or replace function kata.erase_message(
  context_id uuid,
  out segment_id uuid,
  inout version bigint,
  reason text,
  out what text
) returns setof record
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_wait text;
  v_concerned uuid[];
  v_head kata_data.head;
  v_receipt kata_data.erasure;
  v_segment_id uuid;
  v_amended kata_data.amendment;
  v_entries kata_data.concerned_entry[];
begin
  perform kata_data.check_isolation();
  v_wait := kata_data.bound_wait();
  -- Looked up before the locks: rows never move, and access is checked below.
  v_amended := kata_data.path_amendment(context_id, version);
  v_concerned := context_id || kata_data.copy_segments(context_id, coalesce(v_amended.version, version));
  perform kata_data.lock_removal(v_concerned);
  v_head := kata_data.lock_context(context_id);
  if reason is null or reason !~ E'\\S' collate kata_data.c_utf8 then
    raise exception using
      errcode = 'KC017',
      message = 'an erasure needs a reason',
      detail = format('It is %s.', case when reason is null then 'null' else 'blank' end),
      hint = 'Say why in words that may be kept; kata.erasures lists them.';
  end if;
  select s.segment_id into v_segment_id
  from kata_data.segments(erase_message.context_id, erase_message.version, erase_message.version) s
  where erase_message.version <= v_head.version;
  if not exists (select from kata_data.message m where m.segment_id = v_segment_id and m.version = erase_message.version)
    and not exists (select from kata_data.summary y where y.segment_id = v_segment_id and y.version = erase_message.version)
    and not exists (select from kata_data.record r where r.segment_id = v_segment_id and r.version = erase_message.version)
    and v_amended.version is null then
    raise exception using
      errcode = 'KC002',
      message = format('version %s not found', coalesce(version::text, 'null')),
      detail = format('No message of context %s has it.', context_id),
      hint = 'List what there is with kata.messages.';
  end if;

  v_receipt := kata_data.next_receipt(context_id, reason);
  v_entries := array(
    select e from kata_data.erase_entry(v_segment_id, erase_message.version, 'message', v_receipt) e
    union all
    select e from kata_data.erase_summary(v_segment_id, erase_message.version, v_receipt) e
    union all
    select e from kata_data.erase_record(v_segment_id, erase_message.version, v_receipt) e
    union all
    select e from kata_data.erase_amendment(v_segment_id, erase_message.version, v_receipt) e);
  -- After all rows of messages, as a request locks them.
  perform kata_data.forget_requests(e.segment_id, e.version)
  from unnest(v_entries) e
  where e.what in ('message', 'copy', 'amendment');
  perform kata_data.add_erasure(v_receipt, v_entries);
  return query select e.segment_id, e.version, e.what from unnest(v_entries) e;
  return query
  select o.segment_id, o.version, o.what
  from kata_data.originals_of(v_segment_id, erase_message.version) o;
  perform set_config('lock_timeout', v_wait, true);
exception
  when lock_not_available or deadlock_detected then
    perform kata_data.refuse_busy(v_concerned, version, is_deadlock => sqlstate = '40P01');
end
$$;
comment on function kata.erase_message(uuid, bigint, text) is
'Redacts a message permanently, for its context, its forks and the copies that merges have made.

context_id: a context that reads the message, inherited or its own. version: of the message; a summary or the data of a record is erased by its own.
reason: why, kept with the record; not blank.

Content, parts, arguments of calls, name, model, provider fields and metadata are removed, with the stubs and artifacts made of them.
Version, role, token counts, times, pin, ids of calls, the external id, the kind of a record and the digest stay, so no total, group or
window changes, and kata.verify still verifies the chain. A second erasure changes nothing and keeps the first record. An idempotency key
whose result names the message answers it to any request from then on, for nothing is kept to compare a request with. Of requests that showed the message the
salt of the body''s digest and the error are removed, so that no guess of the text can be confirmed; they cannot be replayed (KC023).
A running compaction that may repeat the message is ended: its commit is refused as
stale, and the next one reads the redacted message.

Returns one row per entry concerned: segment_id (the context that wrote it), version, what: message or copy (redacted), original (the
message that this one is a copy of: named, not redacted), summary (one that may repeat a redacted message, because it covers the message or
later ones: named, not rewritten).
Errors: KC001, KC002 no message has this version, KC006 (restore a deleted context first, erase through a fork, or purge it), KC017 no
reason, or the transaction is not at isolation level read committed, KC025 another session holds a lock for longer than lock_timeout, or
10 seconds where that is not set, or waits for this one in turn.
Locks: other purges, erasures, new compactions and requests of the family wait; then the head of the context, the compactions that it
ends, the message and its copies, keys that name them. Cost: O(copies + family + keys of the last seven days +
requests since the message of the contexts that read it). The bytes leave the tables with the next VACUUM FULL; backups keep them until they expire (docs/runbook.md).';

revoke execute on function kata.erase_message from public;
-- For privileges.sql to grant on.
grant execute on function kata.erase_message to kata_owner with grant option;
