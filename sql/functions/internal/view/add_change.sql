-- The write path of view changes: compaction, deletion, elision, pin, unpin and undo all end here. The caller has locked the head,
-- decided what changes, and says only that; the version, the fold, the totals and the digest are the business of this function.

create or replace function kata_data.new_change(kind text, versions int8multirange, undone_version bigint default null) returns kata_data.view_change
language plpgsql volatile
as $$
declare
  v_change kata_data.view_change := kata_data.no_view();
begin
  v_change.change_id := nextval('kata_data.change_id');
  v_change.kind := kind;
  v_change.versions := versions;
  v_change.undone_version := undone_version;
  return v_change;
end
$$;
comment on function kata_data.new_change(text, int8multirange, bigint) is 'A view change of which only is known what it is to do.';

create or replace function kata_data.add_change(
  head kata_data.head,
  change kata_data.view_change,
  summary kata_data.summary default null,
  stubs kata_data.stub[] default '{}'
) returns kata_data.view_change
language plpgsql volatile
as $$
declare
  v_context_id uuid := head.context_id;
  v_view kata_data.view_change := kata_data.view_of(head.context_id, head.version, head.view_version);
  v_change kata_data.view_change := change;
begin
  v_change.segment_id := v_context_id;
  v_change.version := head.version + 1;
  v_change.created_at := greatest(kata_data.clock(), head.last_at + interval '1 microsecond');
  v_change.is_summarised := summary.content is not null;
  v_change := kata_data.fold(v_context_id, v_view, v_change);
  v_change.content_version := case when v_change.deleted = v_view.deleted then head.content_version else v_change.version end;
  v_change.message_count := head.message_count;
  v_change.raw_tokens := head.raw_tokens;
  perform kata_data.check_pieces(v_context_id, v_view, v_change);

  if v_change.is_summarised then
    insert into kata_data.summary (segment_id, version, role, content, token_count, token_source, covered, created_at, metadata)
    values (v_context_id, v_change.version, summary.role, summary.content, summary.token_count, summary.token_source,
      v_change.covers[cardinality(v_change.covers)], v_change.created_at, summary.metadata);
  end if;
  v_change.digest := kata_data.change_digest(
    head.last_digest, v_context_id, v_change, kata_data.summary_digest(summary),
    (select array_agg(s.digest order by s.version) from unnest(stubs) s));
  v_change.view_tokens := case
    when v_change.kind = 'elision' then head.view_tokens - kata_data.stub_gain(v_context_id, v_view, stubs)
    else kata_data.view_tokens_after(v_context_id, v_view, head.view_tokens, v_change)
  end;

  insert into kata_data.view_change (
    segment_id, version, change_id, kind, created_at, digest, versions, undone_version, is_summarised, content_version, message_count, raw_tokens,
    view_tokens, visible, deleted, pinned_groups, elisions, replacements, covers)
  values (
    v_context_id, v_change.version, v_change.change_id, v_change.kind, v_change.created_at, v_change.digest, v_change.versions,
    v_change.undone_version, v_change.is_summarised, v_change.content_version, v_change.message_count, v_change.raw_tokens,
    v_change.view_tokens, v_change.visible, v_change.deleted, v_change.pinned_groups, v_change.elisions, v_change.replacements, v_change.covers);
  insert into kata_data.stub (segment_id, group_version, version, change_id, saved_tokens, token_count, digest, content)
  select s.segment_id, s.group_version, s.version, v_change.change_id, s.saved_tokens, s.token_count, s.digest, s.content
  from unnest(stubs) s;
  update kata_data.head h
  set version = v_change.version,
      view_version = v_change.version,
      view_tokens = v_change.view_tokens,
      content_version = v_change.content_version,
      last_at = v_change.created_at,
      last_digest = v_change.digest
  where h.context_id = v_context_id;
  perform kata_data.set_due(v_context_id);

  if head.notifies then
    perform pg_notify('kata', json_build_object('context_id', v_context_id, 'version', v_change.version)::text);
  end if;
  return v_change;
end
$$;
comment on function kata_data.add_change(kata_data.head, kata_data.view_change, kata_data.summary, kata_data.stub[]) is
'Adds a view change to a context whose head the caller has locked. summary: of a compaction, what stands for what it covers: role, content,
token_count, token_source, metadata. stubs: of an elision, without change_id; the messages they shorten are visible. Returns the change with the view
after it. KC017 where the view would fall into too many pieces. Cost: O(messages that come, go or change their length + pieces of the view).';

create or replace function kata_data.check_pieces(context_id uuid, view kata_data.view_change, change kata_data.view_change) returns void
language plpgsql stable
as $$
declare
  v_before kata_data.view_change := view;
  v_after bigint := kata_data.piece_count(change);
begin
  if v_after <= 1000 then
    return;
  end if;
  -- Messages that were appended as pinned may have cut it already: what makes it no worse is let through.
  v_before.visible := kata_data.visible_at(view, change.version);
  v_before.pinned_groups := array(select distinct p.pinned from unnest(kata_data.pinned_groups_at(context_id, view, change.version)) p(pinned));
  if v_after <= kata_data.piece_count(v_before) then
    return;
  end if;
  raise exception using
    errcode = 'KC017',
    message = format('the view would fall into %s pieces', v_after),
    detail = 'A view holds at most 1000 ranges of versions, pins, summaries and elisions together.',
    hint = 'Compact with kata.compact or kata.begin_compaction, or unpin what need not stay, and try again.';
end
$$;
comment on function kata_data.check_pieces(uuid, kata_data.view_change, kata_data.view_change) is 'Refuses a change that cuts the view into more than 1,000 pieces. KC017.';

create or replace function kata_data.piece_count(view kata_data.view_change) returns bigint
language sql immutable
as $$
  select (select count(*) from unnest(view.visible)) + cardinality(view.pinned_groups) + cardinality(view.replacements) + cardinality(view.elisions)
$$;
comment on function kata_data.piece_count(kata_data.view_change) is 'The ranges, pins, replacements and elisions of a view.';

create or replace function kata_data.change_digest(
  previous bytea, segment_id uuid, change kata_data.view_change, summary_digest bytea, stub_digests bytea[]
) returns bytea
language sql stable
as $$
  select sha256(previous || convert_to(concat(
    segment_id, '|', change.version, '|', extract(epoch from change.created_at), '|', change.kind, '|', change.versions, '|',
    change.undone_version, '|', encode(summary_digest, 'hex'), '|',
    (select string_agg(encode(d.digest, 'hex'), ',' order by d.ordinality) from unnest(stub_digests) with ordinality d(digest, ordinality))), 'UTF8'))
$$;
comment on function kata_data.change_digest(bytea, uuid, kata_data.view_change, bytea, bytea[]) is
'SHA-256 over the previous entry''s digest and the framed identity of a view change, with its summary and, by version, its stubs.';

create or replace function kata_data.summary_digest(summary kata_data.summary) returns bytea
language sql stable
as $$
  select case when summary.content is not null then sha256(convert_to(
    jsonb_build_array(summary.role, summary.token_count, summary.token_source, summary.metadata, summary.content)::text, 'UTF8')) end
$$;
comment on function kata_data.summary_digest(kata_data.summary) is 'SHA-256 of a summary; null for none.';
