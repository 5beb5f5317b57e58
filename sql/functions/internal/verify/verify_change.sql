-- A view change is folded again and compared with what it stores.

create or replace function kata_data.verify_change(
  context_id uuid, before kata_data.head, after kata_data.head, view kata_data.view, change kata_data.view_change
) returns setof kata_data.finding
language plpgsql stable rows 1
as $$
declare
  v_folded kata_data.view;
  v_summary kata_data.summary;
  v_content_version bigint;
  v_view_tokens bigint;
begin
  if change.undone_version >= change.version then
    return next row(change.version, 'view', 'It undoes a change that is not before it.')::kata_data.finding;
    return;
  end if;
  v_folded := kata_data.fold(context_id, view, change);
  select y.* into v_summary from kata_data.summary y where y.segment_id = change.segment_id and y.version = change.version;
  if (v_summary.version is not null) <> change.is_summarized then
    return next row(change.version, 'summary', 'A compaction and its summary are not both there.')::kata_data.finding;
  elsif change.is_summarized
    and (v_summary.covered, v_summary.created_at) is distinct from (v_folded.covers[cardinality(v_folded.covers)], change.created_at) then
    return next kata_data.differs(
      change.version, 'summary', 'for ' || v_summary.covered, v_folded.covers[cardinality(v_folded.covers)]::text);
  end if;
  if not kata_data.stubs_agree(change, view.amendments) then
    return next row(change.version, 'stub', 'The stubs of an elision do not agree with it or with their messages.')::kata_data.finding;
  end if;
  if (v_folded.visible, v_folded.deleted, v_folded.rewound, v_folded.pinned_groups, v_folded.elisions, v_folded.replacements, v_folded.covers,
    v_folded.amendments, v_folded.amended_from, v_folded.reworded, v_folded.tools_version, v_folded.tools_digest, v_folded.tools_tokens)
    is distinct from (
      change.visible, change.deleted, change.rewound, change.pinned_groups, change.elisions, change.replacements, change.covers,
      change.amendments, change.amended_from, change.reworded, change.tools_version, change.tools_digest, change.tools_tokens) then
    return next kata_data.differs(change.version, 'view',
      format('visible %s, deleted %s, rewound %s', change.visible, change.deleted, change.rewound),
      format('visible %s, deleted %s, rewound %s', v_folded.visible, v_folded.deleted, v_folded.rewound));
  end if;
  v_view_tokens := kata_data.view_tokens_after(context_id, view, v_folded, before.view_tokens);
  v_content_version := case
    when (v_folded.deleted, v_folded.rewound) <> (view.deleted, view.rewound) or kata_data.rewords(context_id, change, view.rewound) then change.version
    else before.content_version
  end;
  if (change.message_count, change.raw_tokens, change.content_version, change.view_tokens)
    is distinct from (before.message_count, before.raw_tokens, v_content_version, v_view_tokens) then
    return next kata_data.differs(change.version, 'running total',
      format('%s messages, %s tokens, %s in view', change.message_count, change.raw_tokens, change.view_tokens),
      format('%s messages, %s tokens, %s in view', before.message_count, before.raw_tokens, v_view_tokens));
  end if;
  if (change.preamble_end, change.oldest_open_group, change.turn_version)
    is distinct from (before.preamble_end, after.oldest_open_group, after.turn_version) then
    return next kata_data.differs(change.version, 'state of the log',
      kata_data.log_state(change.preamble_end, change.oldest_open_group, change.turn_version),
      kata_data.log_state(before.preamble_end, after.oldest_open_group, after.turn_version));
  end if;
  if change.kind = 'tools' and change.tools_digest is distinct from sha256(convert_to(kata_data.tool_text(before.tenant, change.tools_digest), 'UTF8')) then
    return next row(change.version, 'tools', 'The list of tools that it sets is not stored as it was given.')::kata_data.finding;
  end if;
  if change.created_at < before.last_at then
    return next row(
      change.version, 'time', format('It was created at %s, before the entry before it.', change.created_at))::kata_data.finding;
  end if;
  return query
  select t.version, t.problem, t.detail from kata_data.verify_change_digest(before.last_digest, change, v_summary) t;
end
$$;
comment on function kata_data.verify_change(uuid, kata_data.head, kata_data.head, kata_data.view, kata_data.view_change) is
'Damage in a view change of a path, given the expected head before and after it and the view before it.';

create or replace function kata_data.verify_change_digest(previous bytea, change kata_data.view_change, summary kata_data.summary)
returns setof kata_data.finding
language plpgsql stable rows 1
as $$
declare
  v_record kata_data.record;
  v_amendment kata_data.amendment;
  v_content_digest bytea;
begin
  select r.* into v_record from kata_data.record r where r.segment_id = change.segment_id and r.version = change.version;
  if (v_record.version is not null) <> (change.kind = 'record') then
    return next row(change.version, 'record', 'A record and its data are not both there.')::kata_data.finding;
  end if;
  select a.* into v_amendment from kata_data.amendment a where a.change_id = change.change_id;
  if (v_amendment.version is not null) <> (change.kind = 'amendment') or not kata_data.amendment_agrees(change, v_amendment) then
    return next row(change.version, 'amendment', 'An amendment and its words do not agree.')::kata_data.finding;
  end if;
  select e.content_digest into v_content_digest
  from kata_data.erasure e
  where e.segment_id = change.segment_id
    and e.version = change.version;
  if not found then
    v_content_digest := kata_data.change_content_digest(change, summary, v_record, v_amendment);
    return query select f.version, f.problem, f.detail from kata_data.verify_salt(
      change.version, coalesce(summary.salt, v_record.salt, v_amendment.salt)) f;
  elsif octet_length(v_content_digest) <> 32 or summary.content <> ''
    or num_nonnulls(summary.salt, summary.metadata, v_record.salt, v_record.data) > 0
    or (change.kind = 'amendment' and v_amendment is distinct from kata_data.redacted_amendment(v_amendment)) then
    return next row(change.version, 'erasure', 'The entry is not as the recorded erasure left it.')::kata_data.finding;
  end if;
  if change.digest is distinct from kata_data.entry_digest(
    previous,
    kata_data.change_frame(change, summary, v_record, array(select s from kata_data.stub s where s.change_id = change.change_id), v_amendment),
    v_content_digest) then
    return next row(change.version, 'digest', 'The view change, or the digest before it, was changed.')::kata_data.finding;
  end if;
end
$$;
comment on function kata_data.verify_change_digest(bytea, kata_data.view_change, kata_data.summary) is
'Damage in the digest of a view change, and in what it covers: summary or record, erasure, stubs.

previous: the digest of the entry before.';

create or replace function kata_data.log_state(preamble_end bigint, oldest_open_group bigint, turn_version bigint) returns text
language sql immutable
as $$
  select format('preamble to %s, open from %s, turn of %s',
    coalesce(preamble_end::text, 'null'), coalesce(oldest_open_group::text, 'null'), coalesce(turn_version::text, 'null'))
$$;
comment on function kata_data.log_state(bigint, bigint, bigint) is 'What a view change carries of the log before it, in words.';

create or replace function kata_data.amendment_agrees(change kata_data.view_change, amendment kata_data.amendment) returns boolean
language plpgsql stable
as $$
begin
  if change.kind <> 'amendment' then
    return true;
  end if;
  return change.versions = int8multirange(int8range(amendment.version, amendment.version, '[]')) and exists (
    select
    from kata_data.message m
    where m.segment_id = amendment.segment_id
      and m.version = amendment.version
      and m.group_version = amendment.group_version
      and m.token_count - amendment.token_count = amendment.saved_tokens
      and kata_data.named_calls(m.tool_calls) = kata_data.named_calls(amendment.tool_calls)
    union all
    select
    from kata_data.summary y
    where y.segment_id = amendment.segment_id
      and y.version = amendment.version
      and amendment.group_version = amendment.version
      and y.token_count - amendment.token_count = amendment.saved_tokens);
end
$$;
comment on function kata_data.amendment_agrees(kata_data.view_change, kata_data.amendment) is
'Whether the words of an amendment agree with its view change and with their message.';

create or replace function kata_data.stubs_agree(change kata_data.view_change, amendments bigint[]) returns boolean
language plpgsql stable
as $$
begin
  return (select range_agg(int8range(s.version, s.version + 1)) from kata_data.stub s where s.change_id = change.change_id)
    is not distinct from (case when change.kind = 'elision' then change.versions end)
    and not exists (
      select from kata_data.stub s
      join kata_data.message m on m.segment_id = s.segment_id and m.version = s.version
      left join lateral kata_data.amendment_of(m.segment_id, m.group_version, m.version, amendments) a on true
      left join kata_data.view_change c on c.change_id = a.change_id
      -- Of the words that it shortens.
      left join kata_data.erasure e on e.segment_id = coalesce(c.segment_id, s.segment_id) and e.version = coalesce(c.version, s.version)
      where s.change_id = change.change_id
        and (s.saved_tokens <> m.token_count - s.token_count
          or s.amendment_id is distinct from a.change_id
          or case
            when s.content is null then e.version is null or s.salt is not null
            -- A stub that is made after the erasure is one line: there is no text to quote.
            when e.version is not null and strpos(s.content, E'\n') > 0 then true
            else octet_length(s.salt) is distinct from 16 or s.digest is distinct from kata_data.content_digest(s.salt, s.content)
          end));
end
$$;
comment on function kata_data.stubs_agree(kata_data.view_change, bigint[]) is
'Whether the stubs of a view change agree with it and with their messages.

amendments: of the view before it.
An elision has one for each of its versions, any other change none. Only that of erased words is without text and salt.';
