-- Access check. Every public function that takes a context calls open_context, lock_context or share_context before it reads; they
-- check tenant, existence and state. Exceptions: verify and purge_context, which span contexts, check by check_access; pending_embeddings
-- only continues a list of the tenant's contexts behind after_context. Readers open a context. Writers lock it: the lock is the head row,
-- taken before anything is decided.
--
-- The head is looked up from its newest version backwards: equal keys are in the order of their rows' places, and the range with ORDER BY
-- has the index read from its end. Under an old snapshot no version of the row can be removed; from the front a look-up would try
-- all of them, one page per 41 appends.

create or replace function kata_data.open_context(
  context_id uuid,
  inout at bigint default null,
  access text default 'read',
  out tokenizer text,
  out version bigint,
  out message_count bigint,
  out raw_tokens bigint,
  out preamble_end bigint,
  out view_version bigint
)
language plpgsql stable
as $$
declare
  v_closed boolean;
  v_is_older boolean;
begin
  select h.tokenizer, h.version, h.message_count, h.raw_tokens, h.preamble_end, h.view_version, h.closed, h.has_older_preamble and open_context.at < h.version
  into tokenizer, version, message_count, raw_tokens, preamble_end, view_version, v_closed, v_is_older
  from kata_data.head h
  where h.context_id >= open_context.context_id and h.context_id <= open_context.context_id
    and h.tenant = kata_data.current_tenant()
  order by h.context_id desc
  limit 1;
  if v_closed is distinct from false then
    perform kata_data.check_access(context_id, access);
    if v_closed is null then
      -- check_access is volatile and sees contexts created since the statement began; the snapshot of this function does not.
      raise exception using
        errcode = 'KC001',
        message = format('context %s not found', context_id),
        detail = 'It was created after this statement began.',
        hint = 'Read what a statement has created in the next one.';
    end if;
  end if;
  if at not between 0 and version then
    perform kata_data.check_version(context_id, at, version);
  end if;
  if v_is_older then
    preamble_end := (
      select kata_data.preamble_end_at(h, open_context.at) from kata_data.head h where h.context_id = open_context.context_id);
  end if;
  at := coalesce(at, version);
end
$$;
comment on function kata_data.open_context(uuid, bigint, text) is
'Opens a context of the caller''s tenant. at: a version, null for the newest. access: read (refuses deleted contexts), write (refuses
archived ones, too), restore (refuses only purged ones), any. Takes no lock. KC001, KC002, KC006.';

create or replace function kata_data.lock_context(context_id uuid, access text default 'write') returns kata_data.head
language plpgsql volatile
as $$
declare
  v_head kata_data.head;
begin
  select h.* into v_head
  from kata_data.head h
  where h.context_id >= lock_context.context_id and h.context_id <= lock_context.context_id
    and h.tenant = kata_data.current_tenant()
  order by h.context_id desc
  limit 1
  for no key update;
  if v_head.closed is distinct from false then
    perform kata_data.check_access(context_id, access);
  end if;
  return v_head;
end
$$;
comment on function kata_data.lock_context(uuid, text) is
'Opens a context of the caller''s tenant for change: locks its head until the end of the transaction. access: as open_context. KC001,
KC006.';

create or replace function kata_data.share_context(context_id uuid, access text default 'read') returns kata_data.head
language plpgsql volatile
as $$
declare
  v_head kata_data.head;
begin
  select h.* into v_head
  from kata_data.head h
  where h.context_id >= share_context.context_id and h.context_id <= share_context.context_id
    and h.tenant = kata_data.current_tenant()
  order by h.context_id desc
  limit 1
  for key share;
  -- The row may be from before a deletion that has just been committed: checked again, under the lock.
  perform kata_data.check_access(context_id, access);
  return v_head;
end
$$;
comment on function kata_data.share_context(uuid, text) is
'Opens a context of the caller''s tenant for a fork: shares its head until the end of the transaction, so that a purge waits and appends do
not. access: as open_context. KC001, KC006.';
