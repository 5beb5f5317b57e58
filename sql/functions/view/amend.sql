-- Shows other words for a message, in its place and under its version. The log keeps the first words; only the view changes.
--
-- Locks the head, then looks the key up, then shares the message: an erasure of it waits and finds the amendment, or it came first, and
-- the words that an amendment leaves as they are are blank.
-- plans: writer

create or replace function kata.amend(
  context_id uuid,
  version bigint,
  message jsonb,
  expected_version bigint default null,
  idempotency_key text default null
) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_head kata_data.head;
  v_known jsonb;
  v_amendment kata_data.amendment;
begin
  v_head := kata_data.lock_context(context_id);
  if idempotency_key is not null then
    v_known := kata_data.use_key(
      'context:' || context_id, idempotency_key, 'amend', jsonb_build_array(version, message), to_jsonb(v_head.version + 1));
    if v_known is not null then
      perform kata_data.check_known(v_head, kata_data.known_versions(v_known), idempotency_key);
      return v_known::bigint;
    end if;
  end if;
  perform kata_data.check_expected_version(v_head, expected_version);
  perform kata_data.check_amendable(v_head, version);
  v_amendment := kata_data.new_amendment(v_head, version, message);
  return kata_data.add_change(
    v_head, kata_data.new_change('amendment', int8multirange(int8range(version, version, '[]'))), amendment => v_amendment);
end
$$;
comment on function kata.amend(uuid, bigint, jsonb, bigint, text) is
'Shows other words for a message, in its place.

The log keeps the first words: kata.get_message and the lists raw and all return them, kata.undo brings them back. Windows, prompts, the list
effective, digests, searches and merges have the new words. Forks made before keep the old ones. A late or final result of a tool is
recorded so; a summary can be amended, too. To take a message out, use kata.delete_messages; to remove text permanently,
kata.erase_message.

context_id: the context. version: of a message or a summary, not deleted; covered, shortened and erased ones may be amended.
message: an object with any of content, parts, tool_calls, provider, name, metadata, token_count; a key that is absent stays as it is shown
  now, and null removes it. Role, tool_call_id, and ids and names of calls stay; the message is never blank. A summary takes content,
  metadata and token_count. A token_count that is absent is estimated where the words change.
expected_version: a version since which no message may have been appended, deleted, amended or rewound.
idempotency_key: 1 to 255 characters; the same request again within seven days returns the first result.

Returns the version that the amendment took. It conflicts with expected_version of others, except where it is of a system or
developer message. A summary that covers the message may still repeat its old words.
Errors: KC001, KC002 no message or summary has this version, KC003 version conflict, KC004 the message is invalid, KC006, KC017 deleted, or
too many pieces, KC019, KC021 what the key has done is rewound.
Locks: the head of the context, then the message and the amendment in force (FOR KEY SHARE). Cost: O(size + pieces of the view + fork depth).';

create or replace function kata_data.check_amendable(head kata_data.head, version bigint) returns void
language plpgsql volatile
as $$
declare
  -- The greatest bigint has no next one.
  v_version int8multirange := int8multirange(int8range(least(version, head.version), least(version, head.version), '[]'));
  v_view kata_data.view;
begin
  if (version between 1 and head.version) is not true or not kata_data.holds_messages(head.context_id, v_version) then
    raise exception using
      errcode = 'KC002',
      message = format('version %s not found', coalesce(version::text, 'null')),
      detail = format('Context %s has no message or summary of this version.', head.context_id),
      hint = 'List the messages with kata.messages.';
  end if;
  v_view := kata_data.view_of(head.context_id, head.version, head.view_version);
  if v_view.deleted @> version or v_view.rewound @> version then
    raise exception using
      errcode = 'KC017',
      message = format('version %s is %s', version, case when v_view.deleted @> version then 'deleted' else 'rewound' end),
      detail = 'No model sees the message, whatever its words are.',
      hint = case
        when v_view.deleted @> version then 'Undo the deletion first; kata.history lists it.'
        else 'Go back to a version that shows it, with kata.rewind, or amend it in a fork at one.'
      end;
  end if;
  -- Against an erasure at this moment.
  perform
  from kata_data.segments(head.context_id, check_amendable.version, check_amendable.version) s
  cross join lateral (
    select from kata_data.message m where m.segment_id = s.segment_id and m.version = s.first_version for key share
  ) m;
  perform
  from kata_data.segments(head.context_id, check_amendable.version, check_amendable.version) s
  cross join lateral (
    select from kata_data.summary y where y.segment_id = s.segment_id and y.version = s.first_version for key share
  ) y;
end
$$;
comment on function kata_data.check_amendable(kata_data.head, bigint) is
'Refuses an amendment of what is not a message or summary of the view''s path, and shares the one that is. KC002, KC017.';

create or replace function kata_data.new_amendment(head kata_data.head, version bigint, patch jsonb) returns kata_data.amendment
language plpgsql volatile
as $$
declare
  v_versions int8multirange := int8multirange(int8range(version, version, '[]'));
  v_said kata_data.message;
  v_base kata_data.amendment;
  v_shown kata_data.message;
  v_message kata_data.message;
  v_amendment kata_data.amendment;
begin
  v_said := kata_data.said_at(head.context_id, version);
  v_base := (
    select a
    from kata_data.amendment_of(
      v_said.segment_id, v_said.group_version, version,
      kata_data.amendments_at(
        head.context_id, kata_data.view_of(head.context_id, head.version, head.view_version), v_versions, head.version)) a);
  perform kata_data.share_amendments(array[v_base.change_id], v_versions);
  v_shown := kata_data.amended(v_said, v_base);
  perform kata_data.check_amendment(patch, v_shown, null);
  v_message := kata_data.patched(v_shown, patch, head.tokenizer);
  perform kata_data.check_amendment(patch, v_shown, v_message);

  v_amendment.segment_id := v_said.segment_id;
  v_amendment.group_version := v_said.group_version;
  v_amendment.version := version;
  v_amendment.salt := kata_data.new_salt();
  v_amendment.content := v_message.content;
  v_amendment.name := v_message.name;
  v_amendment.metadata := v_message.metadata;
  v_amendment.tool_calls := v_message.tool_calls;
  v_amendment.parts := v_message.parts;
  v_amendment.provider := v_message.provider;
  v_amendment.token_count := v_message.token_count;
  v_amendment.token_source := v_message.token_source;
  v_amendment.saved_tokens := v_said.token_count - v_message.token_count;
  -- Words that an earlier amendment brought, and this one leaves, are erased with that one.
  if v_base.change_id is not null and kata_data.patched(v_said, patch, head.tokenizer) is distinct from v_message then
    v_amendment.base_change_id := v_base.change_id;
  end if;
  return v_amendment;
end
$$;
comment on function kata_data.new_amendment(kata_data.head, bigint, jsonb) is
'The words of an amendment, whole, for add_change: those in force with what a caller changes. KC004.';

create or replace function kata_data.said_at(context_id uuid, version bigint) returns kata_data.message
language plpgsql volatile
as $$
declare
  v_message kata_data.message;
  v_summary kata_data.summary;
begin
  select m.* into v_message
  from kata_data.path_messages(said_at.context_id, int8multirange(int8range(said_at.version, said_at.version, '[]'))) m;
  if found then
    return v_message;
  end if;
  select y.* into strict v_summary from kata_data.summary_of(said_at.context_id, said_at.version) y;
  v_message.segment_id := v_summary.segment_id;
  v_message.version := v_summary.version;
  v_message.group_version := v_summary.version;
  v_message.content := v_summary.content;
  v_message.metadata := v_summary.metadata;
  v_message.token_count := v_summary.token_count;
  v_message.token_source := v_summary.token_source;
  return v_message;
end
$$;
comment on function kata_data.said_at(uuid, bigint) is
'The message of a path at a version in its own words; a summary as a message without a role.

Volatile: it sees an erasure that was committed while the caller waited for the row.';

create or replace function kata_data.patched(message kata_data.message, patch jsonb, tokenizer text) returns kata_data.message
language plpgsql stable
as $$
declare
  v_patch kata_data.message;
begin
  v_patch := jsonb_populate_record(message, (patch - 'token_count')
    || case when patch ? 'parts' and not patch ? 'content' then '{"content": null}' else '{}' end::jsonb);
  v_patch.tool_calls := nullif(v_patch.tool_calls, 'null');
  v_patch.parts := nullif(v_patch.parts, 'null');
  v_patch.provider := nullif(v_patch.provider, 'null');
  v_patch.metadata := nullif(v_patch.metadata, 'null');
  if patch ? 'parts' and v_patch.content is null and jsonb_typeof(v_patch.parts) = 'array' then
    v_patch.content := kata_data.parts_text(v_patch.parts);
  end if;
  if patch ->> 'token_count' is not null then
    v_patch.token_count := (patch ->> 'token_count')::integer;
    v_patch.token_source := 'given';
  elsif (v_patch.content, v_patch.name, v_patch.tool_calls, v_patch.parts, v_patch.provider)
    is distinct from (message.content, message.name, message.tool_calls, message.parts, message.provider) then
    v_patch.token_count := kata_data.message_tokens(
      v_patch.content, v_patch.tool_calls, v_patch.parts, tokenizer, v_patch.name, v_patch.provider);
    v_patch.token_source := 'estimate';
  end if;
  return v_patch;
end
$$;
comment on function kata_data.patched(kata_data.message, jsonb, text) is
'A message with what an amendment changes of it, counted anew where its words change.';

create or replace function kata_data.check_amendment(patch jsonb, shown kata_data.message, amended kata_data.message) returns void
language plpgsql stable
as $$
declare
  v_problem text;
begin
  v_problem := case
    when amended.version is null then kata_data.patch_problem(patch, shown)
    else kata_data.amended_problem(shown, amended)
  end;
  if v_problem is not null or patch is null then
    raise exception using
      errcode = 'KC004',
      message = 'the amendment is invalid',
      detail = coalesce(v_problem, 'It is null.'),
      hint = 'Nothing was amended: pass an object with what changes, for example {"content": "…"}.';
  end if;
end
$$;
comment on function kata_data.check_amendment(jsonb, kata_data.message, kata_data.message) is
'Refuses an amendment with a problem: of the patch alone where amended is null, else of what it makes of the message. KC004.';

create or replace function kata_data.patch_problem(patch jsonb, shown kata_data.message) returns text
language plpgsql stable
as $$
declare
  v_keys text[] := case
    when shown.role is null then '{content,metadata,token_count}'::text[]
    else '{content,parts,tool_calls,provider,name,metadata,token_count}'::text[]
  end;
begin
  return case
    when jsonb_typeof(patch) <> 'object' then format('It is %s, not an object.', jsonb_typeof(patch))
    when patch = '{}' then 'It is empty.'
    when patch - v_keys <> '{}' then format('Its key %s cannot be amended; these can: %s.',
      left(jsonb_path_query_first(patch - v_keys, '$.keyvalue().key')::text, 100), array_to_string(v_keys, ', '))
    when patch ? 'content' and not patch ? 'parts' and kata_data.has_elements(shown.parts)
      then 'The message has parts, which are sent instead of its content: pass parts, too, or null for none.'
    else kata_data.draft_problem(patch)
  end;
end
$$;
comment on function kata_data.patch_problem(jsonb, kata_data.message) is
'A sentence on what is wrong with the keys and types of an amendment; null if nothing is.';

create or replace function kata_data.amended_problem(shown kata_data.message, amended kata_data.message) returns text
language plpgsql stable
as $$
declare
  v_checked kata_data.message := amended;
begin
  v_checked.role := coalesce(amended.role, 'user');
  -- The source of a count is not the caller's to give here.
  v_checked.token_source := null;
  return coalesce(
    kata_data.message_problem(v_checked),
    case
      when kata_data.named_calls(amended.tool_calls) <> kata_data.named_calls(shown.tool_calls)
        then 'Its calls have other ids or names; an amendment may change their arguments only.'
      -- Its own thinking is not sent: it was given for other words.
      when not kata_data.has_elements(amended.tool_calls)
        and kata_data.says_nothing(amended.content, kata_data.without_own_thinking(amended.parts))
        then 'It would be blank.'
    end);
end
$$;
comment on function kata_data.amended_problem(kata_data.message, kata_data.message) is
'A sentence on what is wrong with a message as an amendment makes it; null if nothing is.';

create or replace function kata_data.says_nothing(content text, parts jsonb) returns boolean
language sql immutable
as $$
  select case
    when kata_data.has_elements(parts) then not exists (
      select from jsonb_array_elements(parts) p(part)
      where p.part ->> 'type' not in ('text', 'input_text', 'output_text')
        or not kata_data.is_blank(p.part ->> 'text'))
    else kata_data.is_blank(content)
  end
$$;
comment on function kata_data.says_nothing(text, jsonb) is 'Whether a message without calls would be sent blank.';
