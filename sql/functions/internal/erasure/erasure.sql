-- Erasing. What is left of an erased message is what others stand on: its place, role, tokens, ids and digest. What it said is gone.

create or replace function kata_data.blanked(message kata_data.message) returns kata_data.message
language plpgsql immutable
as $$
declare
  v_blank kata_data.message := message;
begin
  v_blank.content := case when message.content is not null or message.parts is not null then '' end;
  v_blank.name := null;
  v_blank.model := null;
  v_blank.parts := null;
  v_blank.provider := null;
  v_blank.metadata := null;
  if kata_data.has_elements(message.tool_calls) then
    v_blank.tool_calls := (
      select jsonb_agg(jsonb_build_object(
        'id', c.call -> 'id', 'type', 'function',
        'function', jsonb_build_object('name', c.call #> '{function,name}', 'arguments', '{}')) order by c.ordinality)
      from jsonb_array_elements(message.tool_calls) with ordinality c(call, ordinality));
  end if;
  return v_blank;
end
$$;
comment on function kata_data.blanked(kata_data.message) is
'A message without what it said: content, parts, arguments of calls, name, model, provider fields and metadata. Calls keep id and function,
so that results find them.';

create or replace function kata_data.remains_digest(message kata_data.message) returns bytea
language plpgsql stable
as $$
begin
  return kata_data.message_digest(
    message.digest, message.segment_id, message.version, message.created_at, message.role, message.content, message.token_count,
    message.token_source, message.group_version, message.pinned,
    kata_data.digest_rest(message.name, message.tool_call_id, message.tool_name, message.model, message.tool_calls,
      message.parts, message.provider, message.metadata));
end
$$;
comment on function kata_data.remains_digest(kata_data.message) is
'SHA-256 over an erased message, its own digest first: that one covers what was erased and cannot be recomputed, this one can.';

create or replace function kata_data.erase_entry(segment_id uuid, version bigint, what text, reason text)
returns table (erased_segment_id uuid, erased_version bigint, erased_what text)
language plpgsql volatile rows 10
as $$
declare
  v_message kata_data.message;
  v_origin_segment uuid;
  v_origin_version bigint;
  v_copy record;
begin
  perform kata_data.hold_families(array[erase_entry.segment_id]);
  if not exists (
    select from kata_data.erasure e
    where e.segment_id = erase_entry.segment_id
      and e.version = erase_entry.version) then
    perform kata_data.end_compactions(erase_entry.segment_id, erase_entry.version);
  end if;
  -- A merge that copies the message right now has shared its row: wait for it, then its copy is seen. A later one copies the blank.
  select m.* into v_message
  from kata_data.message m
  where m.segment_id = erase_entry.segment_id
    and m.version = erase_entry.version
  for update;
  -- A copy may have been purged, and copies of it be left.
  if found then
    v_message := kata_data.blanked(v_message);
    insert into kata_data.erasure (segment_id, version, what, reason, erased_by, erased_at, remains)
    values (
      erase_entry.segment_id, erase_entry.version, erase_entry.what, erase_entry.reason, kata_data.calling_role(), kata_data.clock(),
      kata_data.remains_digest(v_message))
    on conflict on constraint erasure_pkey do nothing;
    if found then
      update kata_data.message m
      set content = v_message.content, name = v_message.name, model = v_message.model, parts = v_message.parts,
          provider = v_message.provider, metadata = v_message.metadata, tool_calls = v_message.tool_calls
      where m.segment_id = erase_entry.segment_id
        and m.version = erase_entry.version;
      update kata_data.stub s
      set content = null
      where s.segment_id = erase_entry.segment_id
        and s.group_version = v_message.group_version
        and s.version = erase_entry.version;
      perform kata_data.forget_artifacts(erase_entry.segment_id, erase_entry.version);
    end if;
    return query select erase_entry.segment_id, erase_entry.version, erase_entry.what;
    return query
    select o.summary_segment_id, o.summary_version, 'summary'
    from kata_data.summaries_of(erase_entry.segment_id, erase_entry.version) o;
  end if;

  select o.origin_segment_id, o.origin_version into v_origin_segment, v_origin_version
  from kata_data.merge_origin o
  where o.segment_id = erase_entry.segment_id
    and o.version = erase_entry.version;
  for v_copy in
    select c.segment_id, c.version
    from kata_data.merge_origin c
    where c.origin_segment_id = coalesce(v_origin_segment, erase_entry.segment_id)
      and c.origin_version = coalesce(v_origin_version, erase_entry.version)
      and c.source_segment_id = erase_entry.segment_id
      and c.source_version = erase_entry.version
    order by c.segment_id, c.version
  loop
    return query
    select e.erased_segment_id, e.erased_version, e.erased_what
    from kata_data.erase_entry(v_copy.segment_id, v_copy.version, 'copy', erase_entry.reason) e;
  end loop;
end
$$;
comment on function kata_data.erase_entry(uuid, bigint, text, text) is
'Blanks a message and, one after the other, its merged copies and theirs; what was erased before stays as recorded. Returns a row for each:
segment, version, what. Runs as kata_eraser, whom alone the table lets through.';

create or replace function kata_data.erase_summary(segment_id uuid, version bigint, reason text)
returns table (erased_segment_id uuid, erased_version bigint, erased_what text)
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
  -- The digest of its change covers that of the summary, which is kept.
  insert into kata_data.erasure (segment_id, version, what, reason, erased_by, erased_at, remains)
  values (
    erase_summary.segment_id, erase_summary.version, 'message', erase_summary.reason, kata_data.calling_role(), kata_data.clock(),
    kata_data.summary_digest(v_summary))
  on conflict on constraint erasure_pkey do nothing;
  if found then
    update kata_data.summary y
    set content = '', metadata = null
    where y.segment_id = erase_summary.segment_id
      and y.version = erase_summary.version;
  end if;
  return query select erase_summary.segment_id, erase_summary.version, 'message';
  return query
  select o.summary_segment_id, o.summary_version, 'summary'
  from kata_data.summaries_of(erase_summary.segment_id, erase_summary.version) o;
end
$$;
comment on function kata_data.erase_summary(uuid, bigint, text) is
'Blanks a summary, and names those that have absorbed it. Returns as erase_entry; nothing where there is none.';

create or replace function kata_data.end_compactions(segment_id uuid, version bigint) returns void
language plpgsql volatile
as $$
begin
  update kata_data.compaction c
  set status = 'aborted',
      error = format('Version %s was erased, and it may tell of that.', end_compactions.version),
      finished_at = kata_data.clock()
  from kata_data.readers(end_compactions.segment_id, end_compactions.version) r
  where c.context_id = r.context_id
    and c.status = 'running'
    and upper(c.covered) > end_compactions.version;
end
$$;
comment on function kata_data.end_compactions(uuid, bigint) is
'Ends the compactions, of whatever context reads an entry that is about to be erased, that may tell of it: their summaries are made from what it said.
Waits for one that is being committed, whose summary is then seen. The caller holds the family. Cost: O(family × fork depth).';
