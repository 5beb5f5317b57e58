-- Amendments: other words for a message, in its place. A view lists the last one in force of each amended message that is visible, so an
-- amendment costs a piece only while it shows. Those of hidden messages are found by the messages when these come back.

create or replace function kata_data.amendment_of(segment_id uuid, group_version bigint, version bigint, amendments bigint[])
returns setof kata_data.amendment
language sql stable rows 1
as $$
  select a.*
  from kata_data.amendment a
  where amendments <> '{}'
    and a.segment_id = amendment_of.segment_id
    and a.group_version = amendment_of.group_version
    and a.version = amendment_of.version
    -- Not as an index condition: it would be looked up once for each amendment.
    and a.change_id + 0 = any (amendments)
  order by a.change_id desc
  limit 1
$$;
comment on function kata_data.amendment_of(uuid, bigint, bigint, bigint[]) is
'The words of a message under some amendments, those of the last one.

No row where the message has its own words.';

create or replace function kata_data.amendment_rows(context_id uuid, versions int8multirange) returns setof kata_data.amendment
language sql stable
as $$
  select a.*
  from (
    select m.segment_id, m.group_version, m.version
    from kata_data.path_messages(amendment_rows.context_id, versions) m
    union all
    select y.segment_id, y.version, y.version
    from kata_data.path_summaries(amendment_rows.context_id, versions) y
    offset 0
  ) m
  cross join lateral (
    select a.*
    from kata_data.amendment a
    where a.segment_id = m.segment_id
      and a.group_version = m.group_version
      and a.version = m.version
    offset 0
  ) a
$$;
comment on function kata_data.amendment_rows(uuid, int8multirange) is
'All amendments of some messages and summaries of a path, those of other contexts among them. Cost: O(messages).';

create or replace function kata_data.amendments_of(
  context_id uuid, versions int8multirange, before bigint, newest bigint, rewound int8multirange, undone_version bigint
) returns bigint[]
language plpgsql stable
as $$
declare
  v_amendments kata_data.view_change[];
  v_undone bigint[];
begin
  v_amendments := array(
    select c
    from kata_data.amendment_rows(amendments_of.context_id, versions) a
    join kata_data.view_change c on c.change_id = a.change_id
    join kata_data.segments(amendments_of.context_id, 1, before - 1) g
      on g.segment_id = c.segment_id and c.version between g.first_version and g.last_version
    where not amendments_of.rewound @> c.version);
  if v_amendments = '{}' then
    return '{}'::bigint[];
  end if;
  v_undone := kata_data.undone_versions(
    context_id, (select min(c.version) from unnest(v_amendments) c), newest, rewound, undone_version);
  return array(
    select max(c.change_id)
    from unnest(v_amendments) c
    where c.version <> all (v_undone)
    group by c.versions
    order by 1);
end
$$;
comment on function kata_data.amendments_of(uuid, int8multirange, bigint, bigint, int8multirange, bigint) is
'The last amendment in force of each message and summary at some versions of a line, visible or not.

before: only amendments before this version. newest, undone_version: as fold_change takes them. rewound: of the view.
Cost: O(messages + undos since the oldest of these amendments).';

create or replace function kata_data.amendments_at(context_id uuid, view kata_data.view, versions int8multirange, at bigint) returns bigint[]
language plpgsql stable
as $$
begin
  if view.amended_from is null then
    return '{}'::bigint[];
  end if;
  return kata_data.amendments_of(context_id, versions, at + 1, at, view.rewound, null);
end
$$;
comment on function kata_data.amendments_at(uuid, kata_data.view, int8multirange, bigint) is
'The amendments in force of some messages of a path, visible or not, as of a version for which view_at returned the view.';

create or replace function kata_data.amendments_in_force(view kata_data.view) returns bigint[]
language plpgsql stable
as $$
begin
  if view.amendments = '{}' then
    return '{}'::bigint[];
  end if;
  return array(
    select e.change_id
    from unnest(view.amendments) e(change_id)
    where exists (
      select from kata_data.amendment a
      where a.change_id = e.change_id
        and (view.visible @> a.version or a.version = any (view.replacements))
      offset 0)
    order by e.change_id);
end
$$;
comment on function kata_data.amendments_in_force(kata_data.view) is 'The amendments of a view whose message is still in it.';

create or replace function kata_data.fold_amendment(view kata_data.view, change kata_data.view_change) returns kata_data.view
language plpgsql stable
as $$
declare
  v_version bigint := lower(change.versions);
begin
  view.amended_from := coalesce(view.amended_from, change.version);
  if view.amendments <> '{}' then
    view.amendments := array(
      select a.change_id
      from unnest(view.amendments) e(change_id)
      cross join lateral (select a.change_id, a.version from kata_data.amendment a where a.change_id = e.change_id offset 0) a
      where a.version <> v_version
      order by a.change_id);
  end if;
  if view.visible @> v_version or v_version = any (view.replacements) then
    view.amendments := view.amendments || change.change_id;
  end if;
  return view;
end
$$;
comment on function kata_data.fold_amendment(kata_data.view, kata_data.view_change) is
'A view after an amendment, which takes the place of an earlier one of the same message.';

create or replace function kata_data.amended(message kata_data.message, amendment kata_data.amendment) returns kata_data.message
language plpgsql immutable
as $$
declare
  v_message kata_data.message := message;
begin
  if amendment.change_id is not null then
    v_message.content := amendment.content;
    v_message.name := amendment.name;
    v_message.metadata := amendment.metadata;
    v_message.tool_calls := amendment.tool_calls;
    v_message.parts := amendment.parts;
    v_message.provider := amendment.provider;
    v_message.token_count := amendment.token_count;
    v_message.token_source := amendment.token_source;
  end if;
  return v_message;
end
$$;
comment on function kata_data.amended(kata_data.message, kata_data.amendment) is
'A message in the words of an amendment, or in its own where that is null.';

create or replace function kata_data.without_own_thinking(parts jsonb) returns jsonb
language sql immutable
as $$
  select nullif(
    jsonb_path_query_array(parts, 'strict $[*] ? (!(@.type == "thinking" || @.type == "redacted_thinking" || @.type == "reasoning"))'), '[]')
$$;
comment on function kata_data.without_own_thinking(jsonb) is 'The parts of an amended answer that are sent: its thinking was given for other words.';

create or replace function kata_data.in_words_of(message kata_data.message, amended kata_data.message[]) returns kata_data.message
language sql immutable
as $$
  select case when amended = '{}' then message else coalesce((select a from unnest(amended) a where a.version = message.version), message) end
$$;
comment on function kata_data.in_words_of(kata_data.message, kata_data.message[]) is
'A message of a path, or the one of its version among some amended messages.';

create or replace function kata_data.amended_summary(summary kata_data.summary, amendments bigint[]) returns kata_data.summary
language plpgsql stable
as $$
declare
  v_amendment kata_data.amendment;
begin
  if amendments <> '{}' then
    select a.* into v_amendment
    from kata_data.amendment_of(summary.segment_id, summary.version, summary.version, amendments) a;
    if found then
      summary.content := coalesce(v_amendment.content, '');
      summary.metadata := v_amendment.metadata;
      summary.token_count := v_amendment.token_count;
      summary.token_source := v_amendment.token_source;
      summary.salt := v_amendment.salt;
    end if;
  end if;
  return summary;
end
$$;
comment on function kata_data.amended_summary(kata_data.summary, bigint[]) is 'A summary in the words in force.';

create or replace function kata_data.words_at(context_id uuid, at bigint, versions int8multirange) returns setof kata_data.message
language plpgsql stable rows 100
as $$
declare
  v_amendments bigint[];
begin
  v_amendments := kata_data.amendments_at(context_id, kata_data.view_at(context_id, at), versions, at);
  if v_amendments = '{}' then
    return query select m.* from kata_data.path_messages(words_at.context_id, versions) m;
  else
    return query
    select w.*
    from kata_data.path_messages(words_at.context_id, versions) m
    left join lateral kata_data.amendment_of(m.segment_id, m.group_version, m.version, v_amendments) a on true
    cross join lateral kata_data.amended(m, a) w;
  end if;
end
$$;
comment on function kata_data.words_at(uuid, bigint, int8multirange) is
'The messages of a path at some versions, visible or not, in the words in force as of a version, whole; in no order.';

create or replace function kata_data.share_words(context_id uuid, versions int8multirange, amendments bigint[]) returns void
language plpgsql volatile
as $$
begin
  perform
  from (
    select m.segment_id, m.version
    from kata_data.path_messages(share_words.context_id, versions) m
    order by m.version
    offset 0
  ) p
  cross join lateral (
    select
    from kata_data.message m
    where m.segment_id = p.segment_id
      and m.version = p.version
    for key share
  ) m;
  perform kata_data.share_amendments(amendments, versions);
end
$$;
comment on function kata_data.share_words(uuid, int8multirange, bigint[]) is
'Shares messages of a path and, of some amendments, those of these messages, until the end of the transaction.

An erasure waits and finds what is made of the words. Where it came first, the next statement reads none of them; a transaction with an
old snapshot fails, as one to be tried again.';

create or replace function kata_data.share_amendments(amendments bigint[], versions int8multirange) returns void
language plpgsql volatile
as $$
begin
  if amendments <> '{}' then
    perform
    from (
      select e.change_id from unnest(amendments) e(change_id) order by e.change_id offset 0
    ) e
    cross join lateral (
      select
      from kata_data.amendment a
      where a.change_id = e.change_id
        and versions @> a.version
      for key share
    ) a;
  end if;
end
$$;
comment on function kata_data.share_amendments(bigint[], int8multirange) is
'Shares the amendments, among some, of messages and summaries at some versions, as share_words does.';

create or replace function kata_data.root_change(context_id uuid, change kata_data.view_change) returns kata_data.view_change
language plpgsql stable
as $$
declare
  v_change kata_data.view_change := change;
  v_undone kata_data.view_change;
begin
  while v_change.kind = 'undo' loop
    select c.* into v_undone
    from kata_data.path_changes(root_change.context_id, v_change.undone_version, v_change.undone_version) c;
    -- In damaged tables it may be gone, or not be before it, which kata.verify reports.
    exit when not found or v_undone.version >= v_change.version;
    v_change := v_undone;
  end loop;
  return v_change;
end
$$;
comment on function kata_data.root_change(uuid, kata_data.view_change) is
'The change that an undo, or the undo of an undo, is about in the end; any other change itself.';

create or replace function kata_data.rewords(context_id uuid, change kata_data.view_change, rewound int8multirange) returns boolean
language plpgsql stable
as $$
declare
  v_root kata_data.view_change;
begin
  if change.kind not in ('amendment', 'undo') then
    return false;
  end if;
  v_root := kata_data.root_change(context_id, change);
  if v_root.kind <> 'amendment' or exists (
    select
    from kata_data.path_messages(rewords.context_id, v_root.versions) m
    where m.role in ('system', 'developer')) then
    return false;
  end if;
  -- The undo of an amendment under a later one changes nothing.
  return change.kind = 'amendment'
    or kata_data.amendments_of(context_id, v_root.versions, change.version, change.version - 1, rewound, null)
      <> kata_data.amendments_of(context_id, v_root.versions, change.version, change.version - 1, rewound, change.undone_version);
end
$$;
comment on function kata_data.rewords(uuid, kata_data.view_change, int8multirange) is
'Whether a change puts other words in force for a message, except those of operators.

rewound: of the view.
Agents act on the words, so they conflict with an expected version as an append does.';
