-- The context of a name, made where there is none. The name is looked up, and else inserted, until one of the two succeeds: an insert
-- that lost the name to another session finds it by the next look-up, unless that one was deleted or renamed in between. Under
-- repeatable read, where a look-up cannot see what the insert has met, Postgres ends the transaction with 40001. A key keeps a digest of the
-- request, which names the context: the head is shared, so that a purge waits for the key, and removes the digest.
-- plans: lookup

create or replace function kata.get_or_create_context(
  name text,
  policy jsonb default null,
  metadata jsonb default '{}',
  tokenizer text default 'o200k_base',
  preset text default null,
  idempotency_key text default null,
  out context_id uuid,
  out created boolean
) returns setof record
language plpgsql volatile rows 1 security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_context kata_data.context;
  v_scope text;
  v_known jsonb;
begin
  if name is null then
    raise exception using
      errcode = 'KC017',
      message = 'name is missing',
      detail = 'The context is looked up by its name.',
      hint = 'Pass 1 to 255 characters; kata.create_context creates a context without a name.';
  end if;
  v_context := kata_data.new_root(name, policy, metadata, tokenizer, preset);
  if idempotency_key is not null then
    v_scope := 'tenant:' || v_context.tenant;
    v_known := kata_data.use_key(
      v_scope, idempotency_key, 'get_or_create_context', jsonb_build_array(name, policy, metadata, tokenizer, preset), '{}');
    if v_known is not null then
      context_id := (v_known ->> 'context_id')::uuid;
      created := (v_known -> 'created')::boolean;
      return next;
      return;
    end if;
  end if;

  loop
    context_id := kata_data.live_context(v_context.tenant, name);
    created := context_id is null;
    if created then
      exit when kata_data.try_insert_context(v_context);
    else
      exit when idempotency_key is null or kata_data.share_live(context_id);
    end if;
  end loop;
  if created then
    context_id := v_context.context_id;
    perform kata_data.insert_root(v_context);
  end if;
  if idempotency_key is not null then
    perform kata_data.set_key_result(v_scope, idempotency_key, jsonb_build_object('context_id', context_id, 'created', created));
  end if;
  return next;
end
$$;
create or replace function kata_data.share_live(context_id uuid) returns boolean
language plpgsql volatile
as $$
begin
  perform from kata_data.head h where h.context_id = share_live.context_id for key share;
  return exists (select from kata_data.context c where c.context_id = share_live.context_id and c.deleted_at is null);
end
$$;
comment on function kata_data.share_live(uuid) is
'Keeps a context from being purged, until the end of the transaction. Returns whether it is live, as committed by now.';

comment on function kata.get_or_create_context(text, jsonb, jsonb, text, text, text) is
'Returns the live context of a name in the caller''s tenant, and creates it where there is none.

Sessions that call it at the same moment get the same context, and one of them creates it. A context that exists is returned as it is,
an archived one too: policy, preset, metadata and tokenizer are checked, and used only for a new one.

name: 1 to 255 characters.
policy: compaction policy, an object of the fields that differ from the defaults. preset: a preset that policy patches.
metadata: an object of at most 64 kB.
tokenizer: the unit of its token counts and budgets; one that kata.tokenizers lists, or a model, for example claude-sonnet-4-5.
idempotency_key: 1 to 255 characters; the same request again within seven days returns the first result, although the context may have
  been deleted or renamed since.

Returns one row: context_id, created (whether this call created it).
Errors: KC013 invalid policy, KC017, KC019. Locks: waits for a transaction that is about to give this name to a context; one that a
transaction is just deleting or renaming is returned; with a key, one that is found is kept from being purged. Cost: O(log contexts).';
