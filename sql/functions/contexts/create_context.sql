-- Creates a root: its identity, its head and its lineage of one open-ended segment.

create or replace function kata.create_context(
  name text default null,
  policy jsonb default null,
  metadata jsonb default '{}',
  tokenizer text default 'o200k_base',
  preset text default null,
  idempotency_key text default null
) returns uuid
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_tenant text := kata_data.current_tenant();
  v_policy jsonb := jsonb_strip_nulls(kata_data.policy_preset(preset) || kata_data.check_policy(policy));
  v_context_id uuid := kata_data.new_context_id(floor(random() * 4096)::integer);
  v_now timestamptz := kata_data.clock();
  v_context kata_data.context;
  v_known jsonb;
  v_due record;
begin
  if v_tenant = '*' then
    raise exception using
      errcode = 'KC017',
      message = 'a context cannot belong to every tenant',
      detail = 'kata.tenant is ''*''.',
      hint = 'Set kata.tenant to the tenant that the context is for.';
  end if;
  if length(v_tenant) > 255 then
    raise exception using
      errcode = 'KC017',
      message = format('tenant "%s" is too long', left(v_tenant, 100)),
      detail = format('It has %s characters.', length(v_tenant)),
      hint = 'Set kata.tenant to at most 255 characters.';
  end if;
  perform kata_data.check_name(name);
  perform kata_data.check_metadata(metadata);
  if not exists (select from kata_data.tokenizer t where t.name = create_context.tokenizer) then
    raise exception using
      errcode = 'KC017',
      message = format('tokenizer "%s" is unknown', coalesce(left(tokenizer, 100), 'null')),
      detail = 'A context counts its tokens in one registered tokenizer.',
      hint = 'Register it with kata.register_tokenizer; kata.tokenizers lists the known ones.';
  end if;

  if idempotency_key is not null then
    v_known := kata_data.use_key(
      'tenant:' || v_tenant, idempotency_key,
      sha256(convert_to(jsonb_build_array('create_context', name, policy, metadata, tokenizer, preset)::text, 'UTF8')),
      to_jsonb(v_context_id));
    if v_known is not null then
      return (v_known #>> '{}')::uuid;
    end if;
  end if;

  v_context.context_id := v_context_id;
  v_context.tenant := v_tenant;
  v_context.name := name;
  v_context.family_id := v_context_id;
  v_context.depth := 0;
  v_context.tokenizer := tokenizer;
  v_context.policy := v_policy;
  v_context.metadata := metadata;
  v_context.created_at := v_now;
  v_context.updated_at := v_now;
  perform kata_data.insert_context(v_context);
  v_due := kata_data.first_due(v_policy, 0, 0);
  insert into kata_data.head (context_id, tenant, tokenizer, due_tokens, due_messages, is_strict, notifies, last_digest)
  values (
    v_context_id, v_tenant, tokenizer, v_due.due_tokens, v_due.due_messages,
    coalesce((v_policy -> 'strict')::boolean, true), coalesce((v_policy -> 'notify')::boolean, false),
    kata_data.first_digest(v_context_id));
  insert into kata_data.lineage (context_id, first_version, segment_id)
  values (v_context_id, 1, v_context_id);
  return v_context_id;
end
$$;
comment on function kata.create_context(text, jsonb, jsonb, text, text, text) is
'Creates an empty context in the caller''s tenant.

name: 1 to 255 characters, unique among the tenant''s live contexts; null for none.
policy: compaction policy, an object of the fields that differ from the defaults. preset: a preset that policy patches.
metadata: an object of at most 64 kB.
tokenizer: the unit of its token counts and budgets; one that kata.tokenizers lists.
idempotency_key: 1 to 255 characters; the same request again within seven days returns the first result.

Returns the id: a UUID in the version 7 layout, so ids sort by creation; the 12 bits after the version nibble are the bucket of its
fork family.
Errors: KC007 name taken, KC013 invalid policy, KC017, KC019. Cost: O(1).';
