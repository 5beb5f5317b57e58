-- Erases the words of amendments: all of an erased message, or one by its own version with those that took words from it.
--
-- Locks the message, FOR UPDATE, as the erasure of the message does, and then the amendments: what makes something of the words, an
-- amendment, a merge or an elision, shares both.

create or replace function kata_data.amendment_target(segment_id uuid, version bigint) returns kata_data.amendment
language plpgsql volatile
as $$
begin
  return (
    select a
    from kata_data.view_change c
    join kata_data.amendment a on a.change_id = c.change_id
    where c.segment_id = amendment_target.segment_id
      and c.version = amendment_target.version);
end
$$;
comment on function kata_data.amendment_target(uuid, bigint) is
'The words of the amendment that took a version of a segment, with the message that they are of; all null where none did.';

create or replace function kata_data.redacted_amendment(amendment kata_data.amendment) returns kata_data.amendment
language plpgsql immutable
as $$
declare
  v_message kata_data.message;
begin
  v_message := kata_data.redacted(kata_data.amended(v_message, amendment));
  amendment.salt := null;
  amendment.content := v_message.content;
  amendment.name := null;
  amendment.metadata := null;
  amendment.tool_calls := v_message.tool_calls;
  amendment.parts := null;
  amendment.provider := null;
  return amendment;
end
$$;
comment on function kata_data.redacted_amendment(kata_data.amendment) is 'An amendment without its words, redacted as a message is.';

create or replace function kata_data.redact_amendments(amendments bigint[], receipt kata_data.erasure) returns setof kata_data.concerned_entry
language plpgsql volatile rows 1
as $$
declare
  v_entry record;
  v_amendment kata_data.amendment;
  v_redacted kata_data.amendment;
begin
  for v_entry in
    select c.segment_id, c.version, c.change_id
    from unnest(amendments) e(change_id)
    cross join lateral (
      select c.segment_id, c.version, c.change_id from kata_data.view_change c where c.change_id = e.change_id offset 0
    ) c
    order by c.segment_id, c.version
  loop
    if not kata_data.is_erased(v_entry.segment_id, v_entry.version) then
      -- FOR UPDATE: what shares the words waits, and with an old snapshot fails.
      select a.* into strict v_amendment from kata_data.amendment a where a.change_id = v_entry.change_id for update;
      v_redacted := kata_data.redacted_amendment(v_amendment);
      perform kata_data.record_erasure(
        v_entry.segment_id, v_entry.version, 'amendment', receipt, kata_data.amendment_digest(v_amendment));
      update kata_data.amendment a
      set salt = null, content = v_redacted.content, name = null, metadata = null, tool_calls = v_redacted.tool_calls, parts = null,
          provider = null
      where a.change_id = v_entry.change_id;
      update kata_data.stub s
      set salt = null, content = null
      where s.segment_id = v_amendment.segment_id
        and s.group_version = v_amendment.group_version
        and s.version = v_amendment.version
        and s.amendment_id = v_entry.change_id;
      perform kata_data.forget_bodies(v_entry.segment_id, v_entry.version, v_amendment.version);
    end if;
    perform kata_data.forget_artifacts(v_entry.segment_id, v_entry.version);
    perform kata_data.forget_embeddings(v_entry.segment_id, v_entry.version);
    return next row(v_entry.segment_id, v_entry.version, 'amendment')::kata_data.concerned_entry;
  end loop;
end
$$;
comment on function kata_data.redact_amendments(bigint[], kata_data.erasure) is
'Redacts amendments by their change_id, with the stubs, artifacts and embeddings of their words and the bodies of requests
that showed them, and records each once.

Returns one row per amendment: its own segment and version.';

create or replace function kata_data.erase_amendments(segment_id uuid, version bigint, receipt kata_data.erasure)
returns setof kata_data.concerned_entry
language plpgsql volatile rows 1
as $$
begin
  return query
  select e.segment_id, e.version, e.what
  from kata_data.redact_amendments(array(
    select a.change_id
    from kata_data.amendment a
    where a.segment_id = erase_amendments.segment_id
      and a.group_version = coalesce(
        (select m.group_version
         from kata_data.message m
         where m.segment_id = erase_amendments.segment_id
           and m.version = erase_amendments.version),
        erase_amendments.version)
      and a.version = erase_amendments.version), receipt) e;
end
$$;
comment on function kata_data.erase_amendments(uuid, bigint, kata_data.erasure) is
'Redacts all amendments of a message or a summary, those of forks included. Returns as redact_amendments.';

create or replace function kata_data.erase_amendment(segment_id uuid, version bigint, receipt kata_data.erasure)
returns setof kata_data.concerned_entry
language plpgsql volatile rows 10
as $$
declare
  v_amendment kata_data.amendment;
  v_chain bigint[];
  v_copy record;
begin
  v_amendment := kata_data.amendment_target(segment_id, version);
  if v_amendment.version is null then
    return;
  end if;
  perform from kata_data.message m where m.segment_id = v_amendment.segment_id and m.version = v_amendment.version for update;
  perform from kata_data.summary y where y.segment_id = v_amendment.segment_id and y.version = v_amendment.version for update;
  v_chain := kata_data.amendments_from(v_amendment);
  perform kata_data.end_compactions(erase_amendment.segment_id, erase_amendment.version, receipt, v_amendment.version);
  perform kata_data.blank_acts(erase_amendment.segment_id, erase_amendment.version, receipt, v_amendment.version);
  return query select e.segment_id, e.version, e.what from kata_data.redact_amendments(v_chain, receipt) e;
  return query
  select s.segment_id, s.version, s.what from kata_data.summaries_of(v_amendment.segment_id, v_amendment.version) s;
  for v_copy in
    select c.segment_id, c.version
    from kata_data.merge_origin o
    cross join lateral kata_data.copies_of(v_amendment.segment_id, v_amendment.version) c
    where o.segment_id = c.segment_id
      and o.version = c.version
      and exists (
        select from kata_data.view_change v
        where v.segment_id = o.amendment_segment_id
          and v.version = o.amendment_version
          and v.change_id = any (v_chain))
  loop
    return query
    select e.segment_id, e.version, e.what from kata_data.erase_entry(v_copy.segment_id, v_copy.version, 'copy', receipt) e;
  end loop;
end
$$;
comment on function kata_data.erase_amendment(uuid, bigint, kata_data.erasure) is
'Erases the amendment that took a version, later ones that took words from it, stubs made of them and merged copies that have them.

Its message shows blank while it is in force: its own words were replaced, perhaps for a reason. Returns as erase_entry; nothing where the
version is not an amendment.';

create or replace function kata_data.amendments_from(amendment kata_data.amendment) returns bigint[]
language sql stable
as $$
  with recursive derived as (
    select amendment.change_id
    union
    select a.change_id
    from derived d
    join kata_data.amendment a on a.segment_id = amendment.segment_id
      and a.group_version = amendment.group_version
      and a.version = amendment.version
      and a.base_change_id = d.change_id
  )
  select array_agg(d.change_id order by d.change_id) from derived d
$$;
comment on function kata_data.amendments_from(kata_data.amendment) is
'An amendment and the later ones of its message that took words from it, by change_id.';
