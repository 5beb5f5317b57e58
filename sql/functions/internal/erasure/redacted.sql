-- The rest of an erased message is what others rely on: its place, role, tokens, ids and digest. The words are gone.

create or replace function kata_data.redacted(message kata_data.message) returns kata_data.message
language plpgsql immutable
as $$
declare
  v_rest kata_data.message := message;
begin
  v_rest.salt := null;
  -- Null stays null only beside calls, so that a text cannot be blanked further.
  v_rest.content := case
    when message.content is not null or message.parts is not null or not kata_data.has_elements(message.tool_calls) then ''
  end;
  v_rest.name := null;
  v_rest.model := null;
  v_rest.parts := null;
  v_rest.provider := null;
  v_rest.metadata := null;
  if kata_data.has_elements(message.tool_calls) then
    v_rest.tool_calls := (
      select jsonb_agg(jsonb_build_object('id', c.call -> 'id') || case
          when c.call ->> 'type' = 'custom' then jsonb_build_object(
            'type', 'custom', 'custom', jsonb_build_object('name', c.call #> '{custom,name}', 'input', ''))
          else jsonb_build_object(
            'type', 'function', 'function', jsonb_build_object('name', c.call #> '{function,name}', 'arguments', '{}'))
        end order by c.ordinality)
      from jsonb_array_elements(message.tool_calls) with ordinality c(call, ordinality));
  end if;
  return v_rest;
end
$$;
comment on function kata_data.redacted(kata_data.message) is
'A message without its words: salt, content, parts, arguments of calls, name, model, provider, metadata.

Calls keep id and function, so that results find them.';
