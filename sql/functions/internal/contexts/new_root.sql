-- A root before it is stored: checks the arguments of create_context and get_or_create_context, and writes nothing.

create or replace function kata_data.new_root(name text, policy jsonb, metadata jsonb, tokenizer text, preset text)
returns kata_data.context
language plpgsql volatile
as $$
declare
  v_context kata_data.context;
begin
  v_context.policy := jsonb_strip_nulls(kata_data.policy_preset(preset) || kata_data.check_policy(policy));
  v_context.tenant := kata_data.current_tenant();
  if v_context.tenant = '*' then
    raise exception using
      errcode = 'KC017',
      message = 'a context cannot belong to every tenant',
      detail = 'kata.tenant is ''*''.',
      hint = 'Set kata.tenant to the tenant that the context is for.';
  end if;
  if length(v_context.tenant) > 255 then
    raise exception using
      errcode = 'KC017',
      message = format('tenant "%s" is too long', left(v_context.tenant, 100)),
      detail = format('It has %s characters.', length(v_context.tenant)),
      hint = 'Set kata.tenant to at most 255 characters.';
  end if;
  perform kata_data.check_name(name);
  perform kata_data.check_metadata(metadata);
  v_context.tokenizer := kata_data.tokenizer_of(tokenizer);
  if v_context.tokenizer is null then
    raise exception using
      errcode = 'KC017',
      message = format('tokenizer "%s" is unknown', coalesce(left(tokenizer, 100), 'null')),
      detail = 'A context counts its tokens in one registered tokenizer.',
      hint = 'Register it with kata.register_tokenizer; kata.tokenizers lists the known ones.';
  end if;

  v_context.context_id := kata_data.given_id();
  if v_context.context_id is null then
    v_context.context_id := kata_data.new_context_id(kata_data.new_bucket());
  elsif v_context.context_id <> '00000000-0000-0000-0000-000000000000' then
    perform kata_data.check_bucket(kata_data.bucket(v_context.context_id));
  end if;
  v_context.name := name;
  v_context.family_id := v_context.context_id;
  v_context.depth := 0;
  v_context.metadata := metadata;
  v_context.created_at := kata_data.clock();
  v_context.updated_at := v_context.created_at;
  return v_context;
end
$$;
comment on function kata_data.new_root(text, jsonb, jsonb, text, text) is
'The row of a new root in the caller''s tenant, arguments checked, nothing stored. KC013, KC017, KC024.';
