-- Forks by reference: no message is copied. The lineage of the child is that of the parent, clipped at the fork version, and a segment of its
-- own; its head is that of the parent as of that version.
--
-- Shares the head of the parent before anything is read, so the fork equals the parent at one moment. Appends go on meanwhile, with greater
-- versions, which the fork does not read; a purge waits.
-- plans: writer

create or replace function kata.fork(
  context_id uuid,
  at bigint default null,
  name text default null,
  policy jsonb default null,
  metadata jsonb default null,
  idempotency_key text default null
) returns uuid
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_head kata_data.head;
  v_at bigint;
  v_parent kata_data.context;
  v_child kata_data.context;
  v_known jsonb;
begin
  v_head := kata_data.share_context(context_id);
  v_at := coalesce(at, v_head.version);
  perform kata_data.check_name(name);
  perform kata_data.check_metadata(coalesce(metadata, '{}'));
  v_child.context_id := coalesce(kata_data.given_id(), kata_data.new_context_id(kata_data.bucket(context_id)));
  if idempotency_key is not null then
    v_known := kata_data.use_key(
      'context:' || context_id, idempotency_key, 'fork', jsonb_build_array(at, name, policy, metadata), to_jsonb(v_child.context_id));
    if v_known is not null then
      return (v_known #>> '{}')::uuid;
    end if;
  end if;
  perform kata_data.check_version(context_id, v_at, v_head.version);

  select c.* into strict v_parent
  from kata_data.context c
  where c.context_id = fork.context_id;
  v_child.tenant := v_parent.tenant;
  v_child.name := name;
  v_child.family_id := v_parent.family_id;
  v_child.parent_id := v_parent.context_id;
  v_child.fork_version := v_at;
  v_child.depth := v_parent.depth + 1;
  v_child.tokenizer := v_parent.tokenizer;
  v_child.policy := jsonb_strip_nulls(v_parent.policy || kata_data.check_policy(policy));
  v_child.metadata := coalesce(metadata, '{}');
  v_child.created_at := kata_data.clock();
  v_child.updated_at := v_child.created_at;
  if v_child.depth > kata_data.policy_value(v_parent.policy, 'max_fork_depth')::integer then
    perform kata_data.refuse_depth(v_parent);
  end if;

  perform kata_data.insert_context(v_child);
  insert into kata_data.lineage (context_id, first_version, last_version, segment_id)
  select v_child.context_id, s.first_version, s.last_version, s.segment_id
  from kata_data.segments(fork.context_id, 1, v_at) s
  union all
  select v_child.context_id, v_at + 1, 9223372036854775807, v_child.context_id;
  perform kata_data.insert_fork_head(v_child, v_head);
  perform kata_data.inherit_guard(v_child.context_id, v_child.parent_id);
  if v_child.policy ? 'every_messages' then
    perform kata_data.set_due(v_child.context_id);
  end if;
  return v_child.context_id;
end
$$;
comment on function kata.fork(uuid, bigint, text, jsonb, jsonb, text) is
'Forks a context: creates one that shares its history up to a version.

Both continue independently: the next entry of each takes the version after it. Calls that are open at the version are open in the fork.

context_id: the parent; it may be archived. at: the version to fork at, 0 for an empty fork; null for the newest.
name: 1 to 255 characters, unique among the tenant''s live contexts; null for none.
policy: a patch of the parent''s policy; a null in it resets a field to the default. metadata: an object of at most 64 kB; null for
  an empty one.
idempotency_key: 1 to 255 characters; the same request again within seven days returns the first result.

Returns the id of the fork. It belongs to the parent''s tenant, and has its tokenizer and bucket.
Errors: KC001, KC002, KC006 deleted, KC007 name taken, KC008 too deep for max_fork_depth of the parent''s policy, KC013 invalid
policy, KC017, KC019.
Locks: the head of the parent (FOR KEY SHARE): neither fork nor append waits for the other.
Cost: O(fork depth + open calls), whatever the length of the log; if a call is open at the version, O(messages from its group, or from the
newest one back, whichever is nearer).';

create or replace function kata_data.refuse_depth(parent kata_data.context) returns void
language plpgsql stable
as $$
begin
  raise exception using
    errcode = 'KC008',
    message = format('context %s cannot be forked: its forks would be too deep', parent.context_id),
    detail = format('It is %s forks away from its root, and max_fork_depth of its policy is %s.',
      parent.depth, kata_data.policy_value(parent.policy, 'max_fork_depth')),
    hint = 'Fork one of its ancestors, which kata.ancestry lists, or raise max_fork_depth in its policy.';
end
$$;
comment on function kata_data.refuse_depth(kata_data.context) is 'Refuses a fork beyond max_fork_depth of the parent''s policy. KC008.';

create or replace function kata_data.insert_fork_head(child kata_data.context, parent_head kata_data.head) returns void
language plpgsql volatile
as $$
declare
  v_at bigint := child.fork_version;
  v_head kata_data.head;
  v_due record;
begin
  v_head := kata_data.head_at(parent_head, v_at);
  v_head.last_digest := coalesce(v_head.last_digest, kata_data.first_digest(child.family_id));
  v_due := kata_data.first_due(
    child.policy, v_head.view_tokens, v_head.message_count,
    kata_data.tools_tokens_at(parent_head.context_id, v_at, v_head.view_version));
  insert into kata_data.head (
    context_id, tenant, tokenizer, version, message_count, raw_tokens, view_tokens, content_version, view_version, preamble_end,
    last_at, due_tokens, due_messages, due_at, is_strict, notifies, last_digest, open_calls, open_groups, oldest_open_group,
    turn_version, summarizes, has_older_preamble)
  values (
    child.context_id, child.tenant, child.tokenizer, v_at, v_head.message_count, v_head.raw_tokens, v_head.view_tokens,
    v_head.content_version, v_head.view_version, v_head.preamble_end, coalesce(v_head.last_at, '-infinity'),
    v_due.due_tokens, v_due.due_messages, v_due.due_at, coalesce((child.policy -> 'strict')::boolean, true),
    coalesce((child.policy -> 'notify')::boolean, false),
    v_head.last_digest, v_head.open_calls, v_head.open_groups, v_head.oldest_open_group, v_head.turn_version,
    coalesce(child.policy ->> 'strategy', 'summarize') = 'summarize', v_head.has_older_preamble);
  perform kata_data.add_act(
    child.context_id, 'fork',
    jsonb_build_object('parent', child.parent_id, 'version', v_at, 'digest', encode(v_head.last_digest, 'hex')),
    kata_data.first_content(child), child.created_at);
end
$$;
comment on function kata_data.insert_fork_head(kata_data.context, kata_data.head) is
'Inserts the head of a fork, that of its parent as of the fork version, and its first act, which holds the digest there.';

create or replace function kata_data.inherit_guard(context_id uuid, parent_id uuid) returns void
language plpgsql volatile
as $$
begin
  insert into kata_data.compaction_guard (context_id, message_count)
  select h.context_id, g.message_count
  from kata_data.head h
  join kata_data.compaction_guard g on g.context_id = inherit_guard.parent_id
  where h.context_id = inherit_guard.context_id
    and g.message_count between 1 and h.message_count;
end
$$;
comment on function kata_data.inherit_guard(uuid, uuid) is
'Makes a fork count its messages since the last attempt to compact its parent.

The attempt must be part of the fork. Without this, every fork of a context that was just compacted would be due. Attempts, failures and
intervals of the fork begin anew.';
