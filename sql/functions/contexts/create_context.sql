-- Creates a root: its context row, its head, and its lineage of one open-ended segment.
-- plans: lookup

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
  v_context kata_data.context;
  v_known jsonb;
begin
  v_context := kata_data.new_root(name, policy, metadata, tokenizer, preset);
  if idempotency_key is not null then
    v_known := kata_data.use_key(
      'tenant:' || v_context.tenant, idempotency_key, 'create_context',
      jsonb_build_array(name, policy, metadata, tokenizer, preset), to_jsonb(v_context.context_id));
    if v_known is not null then
      return (v_known #>> '{}')::uuid;
    end if;
  end if;
  perform kata_data.insert_context(v_context);
  perform kata_data.insert_root(v_context);
  return v_context.context_id;
end
$$;
comment on function kata.create_context(text, jsonb, jsonb, text, text, text) is
'Creates an empty context in the caller''s tenant.

name: 1 to 255 characters, unique among the tenant''s live contexts; null for none.
policy: compaction policy, an object of the fields that differ from the defaults. preset: a preset that policy patches.
metadata: an object of at most 64 kB.
tokenizer: the unit of its token counts and budgets; one that kata.tokenizers lists, or a model, for example claude-sonnet-4-5.
idempotency_key: 1 to 255 characters; the same request again within seven days returns the first result.

Returns the id: a UUID in the version 7 layout, so ids sort by creation; the 12 bits after the version nibble are the bucket of its
fork family.
Errors: KC007 name taken, KC013 invalid policy, KC017, KC019. Cost: O(1).';
