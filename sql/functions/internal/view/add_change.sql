-- The write path of view changes: they all end here. The caller has locked the head and
-- decided what changes; add_change finds the version, folds the view, and writes rows, totals and digest.

create or replace function kata_data.new_change(kind text, versions int8multirange, undone_version bigint default null) returns kata_data.view_change
language plpgsql volatile
as $$
declare
  v_change kata_data.view_change;
begin
  v_change.change_id := nextval('kata_data.change_id');
  v_change.kind := kind;
  v_change.versions := versions;
  v_change.undone_version := undone_version;
  return v_change;
end
$$;
comment on function kata_data.new_change(text, int8multirange, bigint) is
'A view change for add_change: what it is to do, and its change_id. add_change fills the rest.';

create or replace function kata_data.add_change(
  head kata_data.head,
  change kata_data.view_change,
  summary kata_data.summary default null,
  stubs kata_data.stub[] default '{}',
  record kata_data.record default null,
  amendment kata_data.amendment default null
) returns bigint
language plpgsql volatile
as $$
declare
  v_change kata_data.view_change := change;
  v_summary kata_data.summary := summary;
  v_before kata_data.view;
  v_after kata_data.view;
  v_head kata_data.head := head;
begin
  v_change.segment_id := head.context_id;
  v_change.version := head.version + 1;
  v_change.created_at := greatest(kata_data.clock(), head.last_at + interval '1 microsecond');
  v_change.is_summarized := summary.content is not null;
  v_change.message_count := head.message_count;
  v_change.raw_tokens := head.raw_tokens;
  v_change.preamble_end := head.preamble_end;
  v_before := kata_data.view_of(head.context_id, head.version, head.view_version);
  v_after := kata_data.fold(head.context_id, v_before, v_change);
  if v_after.rewound <> v_before.rewound then
    -- The line is another one: the state of the log is what it was there.
    v_head := kata_data.head_at(head, kata_data.returned_version(v_change));
  else
    perform kata_data.check_pieces(head.context_id, v_before, v_after);
  end if;
  v_change.oldest_open_group := v_head.oldest_open_group;
  v_change.turn_version := v_head.turn_version;
  if v_change.is_summarized then
    -- Before the tokens of the view are counted, the summary's among them.
    v_summary.salt := kata_data.new_salt();
    perform kata_data.insert_summary(v_change, v_after, v_summary);
  end if;
  v_change.content_version := case
    when (v_after.deleted, v_after.rewound) <> (v_before.deleted, v_before.rewound) or kata_data.rewords(head.context_id, v_change, v_before.rewound) then v_change.version
    else head.content_version
  end;
  v_change.view_tokens := case
    when v_after.rewound <> v_before.rewound then v_head.view_tokens
    when v_change.kind = 'elision' then head.view_tokens - kata_data.stub_gain(head.context_id, v_before, stubs)
    when v_change.kind = 'amendment' then
      head.view_tokens + kata_data.amendment_growth(head.context_id, v_before, v_change, amendment.token_count)
    else kata_data.view_tokens_after(head.context_id, v_before, v_after, head.view_tokens)
  end;
  v_change.digest := kata_data.entry_digest(
    head.last_digest, kata_data.change_frame(v_change, v_summary, record, stubs, amendment),
    kata_data.change_content_digest(v_change, v_summary, record, amendment));

  perform kata_data.insert_change(v_change, v_after, stubs, amendment);
  perform kata_data.advance_to_change(v_head, v_change);
  return v_change.version;
end
$$;
comment on function kata_data.add_change(
  kata_data.head, kata_data.view_change, kata_data.summary, kata_data.stub[], kata_data.record, kata_data.amendment) is
'Adds a view change to a context whose head the caller has locked, and returns its version.

change: as new_change makes it. summary: of a compaction, the message that replaces what it covers: role, content, token_count,
token_source, metadata. stubs: of an elision, without change_id; the messages that they shorten are visible.
record: of a record, its row, which the caller inserts. amendment: of an amendment, the words, without change_id.
KC017 the view would fall into too many pieces.
Cost: O(messages that come, go or change their length + pieces of the view).';

create or replace function kata_data.advance_to_change(line kata_data.head, change kata_data.view_change) returns void
language plpgsql volatile
as $$
begin
  update kata_data.head h
  set version = change.version,
      view_version = change.version,
      view_tokens = change.view_tokens,
      content_version = change.content_version,
      last_at = change.created_at,
      last_digest = change.digest,
      preamble_end = line.preamble_end,
      -- A rewind also takes back a preamble that has not ended.
      has_older_preamble = h.has_older_preamble or line.preamble_end is distinct from h.preamble_end
        or change.rewound_to is not null and h.preamble_end is null,
      turn_version = line.turn_version,
      open_calls = line.open_calls,
      open_groups = line.open_groups,
      oldest_open_group = line.oldest_open_group
  where h.context_id = change.segment_id;
  if change.kind <> 'record' then
    perform kata_data.set_due(change.segment_id);
  end if;

  if line.notifies then
    perform pg_notify('kata', '');
  end if;
end
$$;
comment on function kata_data.advance_to_change(kata_data.head, kata_data.view_change) is
'Writes the head after a view change, and what follows: whether compaction is due, and a notification.

line: the head, with open calls, turn and preamble of the line that goes on.';

create or replace function kata_data.insert_summary(change kata_data.view_change, view kata_data.view, summary kata_data.summary) returns void
language plpgsql volatile
as $$
begin
  insert into kata_data.summary (segment_id, version, role, salt, content, token_count, token_source, covered, created_at, metadata)
  values (change.segment_id, change.version, summary.role, summary.salt, summary.content, summary.token_count, summary.token_source,
    view.covers[cardinality(view.covers)], change.created_at, summary.metadata);
end
$$;
comment on function kata_data.insert_summary(kata_data.view_change, kata_data.view, kata_data.summary) is
'Inserts the summary of a compaction.

view: after the compaction; the last of its covers is what the summary covers.';

create or replace function kata_data.amendment_growth(
  context_id uuid, view kata_data.view, change kata_data.view_change, token_count integer
) returns bigint
language plpgsql stable
as $$
declare
  v_version bigint := lower(change.versions);
begin
  if v_version = any (view.replacements) then
    return token_count - kata_data.summary_tokens(context_id, array[v_version], view.amendments);
  elsif kata_data.visible_at(view, change.version) @> v_version
    -- A range of visible versions holds those of summaries that are undone.
    and exists (select from kata_data.path_messages(amendment_growth.context_id, change.versions) m) then
    return token_count - kata_data.shown_tokens(context_id, change.versions, view.elisions, view.amendments);
  end if;
  return 0;
end
$$;
comment on function kata_data.amendment_growth(uuid, kata_data.view, kata_data.view_change, integer) is
'The tokens that an amendment adds to a view, given its words'' tokens; 0 where its message is hidden.';

create or replace function kata_data.insert_change(
  change kata_data.view_change, view kata_data.view, stubs kata_data.stub[], amendment kata_data.amendment
) returns void
language plpgsql volatile
as $$
begin
  insert into kata_data.view_change (
    segment_id, version, change_id, kind, created_at, digest, versions, undone_version, rewound_to, is_summarized, content_version,
    message_count, raw_tokens, view_tokens, preamble_end, oldest_open_group, turn_version, visible, deleted, rewound, pinned_groups, elisions,
    replacements, covers, amendments, amended_from, reworded, tools_version, tools_digest, tools_tokens)
  values (
    change.segment_id, change.version, change.change_id, change.kind, change.created_at, change.digest, change.versions,
    change.undone_version, change.rewound_to, change.is_summarized, change.content_version, change.message_count, change.raw_tokens,
    change.view_tokens, change.preamble_end, change.oldest_open_group, change.turn_version, view.visible, view.deleted, view.rewound,
    view.pinned_groups, view.elisions, view.replacements, view.covers, view.amendments, view.amended_from, view.reworded,
    view.tools_version, view.tools_digest, view.tools_tokens);
  insert into kata_data.stub (
    segment_id, group_version, version, change_id, amendment_id, saved_tokens, token_count, digest, salt, content)
  select
    s.segment_id, s.group_version, s.version, change.change_id, s.amendment_id, s.saved_tokens, s.token_count, s.digest, s.salt, s.content
  from unnest(stubs) s;
  if amendment.version is not null then
    insert into kata_data.amendment (
      segment_id, group_version, version, change_id, base_change_id, saved_tokens, token_count, token_source, salt, content, name, metadata,
      tool_calls, parts, provider)
    values (
      amendment.segment_id, amendment.group_version, amendment.version, change.change_id, amendment.base_change_id, amendment.saved_tokens,
      amendment.token_count, amendment.token_source, amendment.salt, amendment.content, amendment.name, amendment.metadata,
      amendment.tool_calls, amendment.parts, amendment.provider);
  end if;
end
$$;
comment on function kata_data.insert_change(kata_data.view_change, kata_data.view, kata_data.stub[], kata_data.amendment) is
'Inserts a view change with the view after it, its stubs, and the words of an amendment.';
