-- Messages as items of the OpenAI Responses form. Items are written anew, field by field, so that nothing that the form does not know passes.

create or replace function kata_data.responses_items(
  role text, content text, tool_call_id text, tool_calls jsonb, parts jsonb, provider jsonb, is_orphan boolean, answered jsonb,
  thinking text, version bigint
) returns jsonb
language sql stable
as $$
  select case
    -- Most messages.
    when parts is null and provider is null and tool_calls is null and tool_call_id is null then case
      when kata_data.is_blank(content) then '[]'
      else jsonb_build_array(jsonb_build_object('type', 'message', 'role', role, 'content', content))
    end
    when is_orphan then jsonb_build_array(jsonb_build_object(
      'type', 'message', 'role', 'user', 'content', kata_data.responses_orphan(tool_call_id, content, parts, version)))
    when role = 'assistant' then kata_data.responses_answer(content, parts, tool_calls, provider, thinking, version)
    when role = 'tool' then jsonb_build_array(kata_data.responses_output(content, tool_call_id, parts, provider, answered, version))
    else kata_data.responses_message(role, content, parts, provider, version)
  end
$$;
comment on function kata_data.responses_items(text, text, text, jsonb, jsonb, jsonb, boolean, jsonb, text, bigint) is
'A message as items; none if nothing of it is left.

answered: of a result, the call that it answers, as prompt_messages has it.';

create or replace function kata_data.responses_message(role text, content text, parts jsonb, provider jsonb, version bigint) returns jsonb
language plpgsql stable
as $$
declare
  v_content jsonb;
begin
  v_content := kata_data.responses_content(role, content, parts, version);
  if v_content is null then
    return '[]'::jsonb;
  end if;
  return jsonb_build_array(jsonb_build_object('type', 'message', 'role', role, 'content', v_content)
    || case when jsonb_typeof(v_content) = 'array' then kata_data.responses_status(provider) else '{}' end);
end
$$;
comment on function kata_data.responses_message(text, text, jsonb, jsonb, bigint) is 'A message of the user or the system as an item.';

create or replace function kata_data.responses_status(fields jsonb) returns jsonb
language sql stable
as $$
  select case when fields ->> 'status' in ('in_progress', 'completed', 'incomplete') then jsonb_build_object('status', fields -> 'status') else '{}' end
$$;
comment on function kata_data.responses_status(jsonb) is 'The status among some fields, if the form knows it.';

create or replace function kata_data.responses_content(role text, content text, parts jsonb, version bigint) returns jsonb
language plpgsql stable
as $$
begin
  return coalesce(
    case when kata_data.has_elements(parts) then (
      select jsonb_agg(p.sent order by p.ordinality)
      from (
        select kata_data.responses_part(role, e.part, version) as sent, e.ordinality
        from jsonb_array_elements(parts) with ordinality e(part, ordinality)
        offset 0
      ) p
      where p.sent is not null)
    end,
    case when not kata_data.is_blank(content) then to_jsonb(content) end);
end
$$;
comment on function kata_data.responses_content(text, text, jsonb, bigint) is
'The content of an item that no model made: its parts, or else its text; null where it is blank.';

create or replace function kata_data.responses_part(role text, part jsonb, version bigint) returns jsonb
language plpgsql stable
as $$
declare
  v_read record := kata_data.read_part(part);
  v_sent jsonb;
begin
  case
    when v_read.kind = 'thinking' then
      return null;
    when v_read.words is not null then
      v_sent := case when kata_data.is_blank(v_read.words) then '{}' else jsonb_build_object('type', 'input_text', 'text', v_read.words) end;
    when v_read.kind = 'audio' then
      return '{"type": "input_text", "text": "[audio]"}'::jsonb;
    when role in ('user', 'tool') then
      v_sent := kata_data.responses_media(part, v_read.kind, v_read.url, v_read.media_type, v_read.data, v_read.file_id, v_read.title);
    else
      null;
  end case;
  if v_sent is null then
    perform kata_data.refuse_part(part, version, 'responses');
  end if;
  return nullif(v_sent, '{}') || case when v_sent = '{}' then '{}' else kata_data.object_field(part, 'prompt_cache_breakpoint') end;
end
$$;
comment on function kata_data.responses_part(text, jsonb, bigint) is
'A part of any form as input; null for one that is left out: blank text, thinking. KC022.';

create or replace function kata_data.responses_media(
  part jsonb, kind text, url text, media_type text, data text, file_id text, title text
) returns jsonb
language plpgsql immutable
as $$
declare
  v_url text := coalesce(url, 'data:' || media_type || ';base64,' || nullif(data, ''));
  v_detail text := coalesce(part ->> 'detail', part #>> '{image_url,detail}');
begin
  if kind = 'image' and coalesce(v_url, file_id) <> '' then
    return jsonb_build_object('type', 'input_image', 'detail', case when v_detail in ('low', 'high', 'original') then v_detail else 'auto' end)
      || case when v_url is null then jsonb_build_object('file_id', file_id) else jsonb_build_object('image_url', v_url) end;
  elsif kind = 'document' and coalesce(v_url, file_id) <> '' then
    return '{"type": "input_file"}'::jsonb || case
        when url is not null then jsonb_build_object('file_url', url)
        when v_url is not null then jsonb_build_object('file_data', v_url, 'filename', coalesce(nullif(title, ''), 'document'))
        else jsonb_build_object('file_id', file_id)
      end
      || case when v_detail in ('low', 'high') then jsonb_build_object('detail', v_detail) else '{}' end;
  end if;
  return null;
end
$$;
comment on function kata_data.responses_media(jsonb, text, text, text, text, text, text) is
'An image or a document as input; null where the form has no place for it. kind and what follows: as read_part returns them.';

create or replace function kata_data.responses_orphan(tool_call_id text, content text, parts jsonb, version bigint) returns jsonb
language plpgsql stable
as $$
declare
  v_content jsonb;
begin
  v_content := kata_data.responses_content('user', content, parts, version);
  if jsonb_typeof(v_content) = 'array' then
    return jsonb_build_array(jsonb_build_object('type', 'input_text', 'text', kata_data.orphan_text(tool_call_id, ''))) || v_content;
  end if;
  return to_jsonb(kata_data.orphan_text(tool_call_id, content));
end
$$;
comment on function kata_data.responses_orphan(text, text, jsonb, bigint) is 'The content of a tool result whose call is not known, as a message of the user.';

create or replace function kata_data.responses_output(
  content text, tool_call_id text, parts jsonb, provider jsonb, answered jsonb, version bigint
) returns jsonb
language plpgsql stable
as $$
declare
  v_kind text := answered ->> 'type';
  v_item jsonb;
begin
  if v_kind not in ('function', 'custom') then
    return kata_data.responses_native_output(v_kind, content, tool_call_id, provider);
  end if;
  v_item := jsonb_build_object(
    'type', case v_kind when 'custom' then 'custom_tool_call_output' else 'function_call_output' end, 'call_id', tool_call_id,
    'output', coalesce(kata_data.responses_content('tool', content, parts, version), '"[empty]"'));
  if provider is null then
    return v_item;
  end if;
  return v_item
    || case when v_kind = 'custom' then '{}' else kata_data.responses_status(provider) end
    || case when provider ->> 'id' <> '' then jsonb_build_object('id', provider -> 'id') else '{}' end;
end
$$;
comment on function kata_data.responses_output(text, text, jsonb, jsonb, jsonb, bigint) is 'The result of a call as an item.';
