-- The texts of content parts and of a provider's fields that count. Every string counts, at any depth, so that a kind of part that is not known
-- yet counts, too; the exceptions are listed here: frames, media, sealed text and free JSON. parts.py of the driver has the same lists;
-- tests/test_counting.py compares.

create or replace function kata_data.sent_amounts(value jsonb) returns table (content text, tokens integer)
language sql immutable rows 10
as $$
  with recursive node (depth, key, value, kind) as (
    select 0, '', sent_amounts.value, kata_data.sent_kind('', sent_amounts.value)
    union all
    select n.depth + 1, c.key, c.value, kata_data.sent_kind(c.key, c.value)
    from node n
    cross join lateral (
      select case when e.key = 'data' and n.value ->> 'type' in ('redacted_thinking', 'reasoning.encrypted') then 'encrypted_content' else e.key end,
        e.value
      from jsonb_each(case n.kind when 'object' then n.value else '{}' end) e
      -- Keys that frame a text, and the notes of a provider on it.
      where e.key <> all ('{type,id,role,status,phase,index,call_id,tool_use_id,tool_call_id,item_id,file_id,container_id,media_type,mime_type,mimeType,format,detail,cache_control,prompt_cache_breakpoint,citations,annotations,logprobs,caller,encrypted_index}')
      union all
      select n.key, a.value
      from jsonb_array_elements(case n.kind when 'array' then n.value else '[]' end) a
    ) c (key, value)
    -- Each level copies what is below it.
    where n.depth < 20
  )
  select case when n.kind = 'text' then n.value #>> '{}' when n.kind in ('json', 'object', 'array') then n.value::text end,
    case n.kind
      when 'image' then kata_data.image_tokens(n.value)
      when 'media' then 1500
      -- The text behind is not known: base64 of an encryption of some four characters per token.
      when 'sealed' then (length(n.value #>> '{}') + 3) / 4
    end
  from node n
  where n.kind in ('text', 'json', 'image', 'media', 'sealed')
    or n.depth = 20 and n.kind in ('object', 'array')
$$;
comment on function kata_data.sent_amounts(jsonb) is
'The amounts that count of content parts, or of fields of a provider: texts, and the tokens of what is not text. In no order.

A value that nests more than 20 deep counts as its JSON.';

create or replace function kata_data.sent_kind(key text, value jsonb) returns text
language sql immutable
as $$
  select case jsonb_typeof(value)
    when 'array' then 'array'
    when 'string' then case when key = 'encrypted_content' then 'sealed' when value #>> '{}' ^@ 'data:' then 'media' else 'text' end
    when 'object' then case
      when value ->> 'type' in ('image', 'image_url', 'input_image', 'computer_screenshot', 'image_generation_call') then 'image'
      -- Parts, and sources of a document.
      when value ->> 'type' in ('audio', 'input_audio', 'video', 'file', 'input_file', 'container_upload', 'base64', 'url')
        or key in ('audio', 'inlineData', 'inline_data', 'fileData', 'file_data') then 'media'
      when key in ('input', 'args', 'arguments', 'response') then 'json'
      else 'object'
    end
  end
$$;
comment on function kata_data.sent_kind(text, jsonb) is
'How the value of a key counts: text, json (as its text), image, media, sealed (by its length), or object and array, by their elements. Null
for what does not count.';

create or replace function kata_data.sent_fields(provider jsonb) returns jsonb
language sql immutable
as $$
  select jsonb_object_agg(f.key, f.value)
  from jsonb_each(case jsonb_typeof(provider) when 'object' then provider end) f
  where f.key in ('refusal', 'reasoning', 'reasoning_content', 'reasoning_details', 'function_call', 'audio')
$$;
comment on function kata_data.sent_fields(jsonb) is 'The fields of a provider that a form sends.';
