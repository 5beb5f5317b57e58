-- Lists of tools. A view names one by its digest; the text is kept once for each tenant.

create or replace function kata_data.tools_tokens(content text, tokenizer text) returns integer
language sql stable
as $$
  select kata_data.estimate_in(kata_data.estimate_tokens(content), tokenizer)
$$;
comment on function kata_data.tools_tokens(text, text) is 'An estimate of the tokens that a list of tools takes in a tokenizer.';

create or replace function kata_data.estimate_in(estimate integer, tokenizer text) returns integer
language sql stable
as $$
  select least(ceil(estimate * kata_data.tokenizer_factor(tokenizer)), 2147483647)::integer
$$;
comment on function kata_data.estimate_in(integer, text) is 'An estimate of tokens, made in o200k_base, in a tokenizer.';

create or replace function kata_data.kept_tools(tenant text, content text) returns bytea
language plpgsql volatile
as $$
declare
  v_digest bytea := sha256(convert_to(content, 'UTF8'));
begin
  -- Held against a purge; where one removes it at this moment, it is stored once more.
  perform
  from kata_data.tool_list t
  where t.tenant = kept_tools.tenant
    and t.digest = v_digest
  limit 1
  for key share skip locked;
  if not found then
    insert into kata_data.tool_list (tenant, digest, created_at, content)
    values (kept_tools.tenant, v_digest, kata_data.clock(), kept_tools.content);
  end if;
  return v_digest;
end
$$;
comment on function kata_data.kept_tools(text, text) is 'The digest of a list of tools, which is held, and stored where the tenant does not have it yet.';

create or replace function kata_data.tool_text(tenant text, digest bytea) returns text
language sql stable
as $$
  select t.content
  from kata_data.tool_list t
  where t.tenant = tool_text.tenant
    and t.digest = tool_text.digest
  order by t.list_id
  limit 1
$$;
comment on function kata_data.tool_text(text, bytea) is 'A list of tools of a tenant by its digest; null where there is none.';

create or replace function kata_data.tools_in_force(context_id uuid, view kata_data.view) returns text
language plpgsql stable
as $$
begin
  if view.tools_digest is null then
    return null;
  end if;
  return (
    select kata_data.tool_text(c.tenant, view.tools_digest) from kata_data.context c where c.context_id = tools_in_force.context_id);
end
$$;
comment on function kata_data.tools_in_force(uuid, kata_data.view) is 'The list of tools of a view as text; null for none.';
