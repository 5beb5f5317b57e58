-- Erasing takes what a message said out of history and leaves history: version, totals, groups and the chain of digests stay.
-- kata: owner kata_eraser
--
-- Holds the artifacts of the path and of whoever has a copy (an advisory lock, which extraction takes before any head), then their
-- families (another one, which whoever begins a compaction shares), then locks the head, as every change of a context does, then the
-- compactions that it ends: one whose commit came first is waited for, and named. At last the message and its copies (FOR UPDATE): a
-- merge or an elision shares the rows that it reads, so either its copy is seen or it copies the blank.

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
  v_concerned uuid[] := context_id || kata_data.copy_segments(context_id, version);
  v_head kata_data.head;
  v_segment_id uuid;
begin
  perform kata_data.check_isolation();
  perform kata_data.hold_artifacts(v_concerned);
  perform kata_data.hold_families(v_concerned);
  v_head := kata_data.lock_context(context_id);
  if reason is null or reason !~ '\S' then
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
    and not exists (select from kata_data.summary y where y.segment_id = v_segment_id and y.version = erase_message.version) then
    raise exception using
      errcode = 'KC002',
      message = format('version %s not found', coalesce(version::text, 'null')),
      detail = format('No message of context %s has it.', context_id),
      hint = 'List what there is with kata.messages.';
  end if;

  return query
  select e.erased_segment_id, e.erased_version, e.erased_what
  from kata_data.erase_entry(v_segment_id, erase_message.version, 'message', erase_message.reason) e;
  return query
  select e.erased_segment_id, e.erased_version, e.erased_what
  from kata_data.erase_summary(v_segment_id, erase_message.version, erase_message.reason) e;
  return query
  with recursive source as (
    select o.source_segment_id, o.source_version
    from kata_data.merge_origin o
    where o.segment_id = v_segment_id
      and o.version = erase_message.version
    union all
    -- Where that was purged, what it was copied from.
    select o.source_segment_id, o.source_version
    from source s
    cross join lateral (
      select o.source_segment_id, o.source_version
      from kata_data.merge_origin o
      where o.segment_id = s.source_segment_id
        and o.version = s.source_version
      offset 0
    ) o
    where not exists (
      select from kata_data.message m
      where m.segment_id = s.source_segment_id
        and m.version = s.source_version
      offset 0)
  )
  select s.source_segment_id, s.source_version, 'original'
  from source s
  cross join lateral (
    select
    from kata_data.message m
    where m.segment_id = s.source_segment_id
      and m.version = s.source_version
    offset 0
  ) m;
end
$$;
comment on function kata.erase_message(uuid, bigint, text) is
'Blanks a message for its context and all forks that share it, and the copies that merges have made of it. Content, parts, arguments of
calls, name, model, provider fields and metadata go, stubs and artifacts made of them, too; version, role, token counts, time, pin, ids
and digest stay, so no total, group or window moves, and kata.verify still holds the chain. Erasing again changes nothing and keeps the
first record. A compaction that was begun and may tell of it is given up: its commit is refused as stale, and the next one is handed the blank.

context_id: a context that reads the message, inherited or its own. version: of the message; a summary is erased by its own. reason: why, kept with the record; not
  blank.

Returns a row for each entry concerned: segment_id (the context that wrote it), version, what: message or copy (blanked), original (the
message that this one is a copy of: named, not blanked), summary (one that may tell of a blanked message, because it covers it or what came after it:
named, not rewritten).
Errors: KC001, KC002 no message has this version, KC006 (in a deleted context nothing is erased: restore it, erase through a fork, or
purge it), KC017 no reason, or the transaction is not at isolation level read committed.
Locks: other purges and erasures out, and compactions of the family from being begun (advisory), the head of the context, then the compactions that it
ends, the message and its copies. Cost: O(copies + family). The bytes leave the disk with the next vacuum; backups
have their own life.';

revoke execute on function kata.erase_message from public;
-- For privileges.sql to grant on.
grant execute on function kata.erase_message to kata_owner with grant option;
