-- The first characters of a message, for lists.

create or replace function kata_data.preview(content text, tool_calls jsonb, parts jsonb default null) returns text
language sql immutable
as $$
  select left(case
    when coalesce(content, '') = '' and kata_data.has_elements(tool_calls) then (
      select string_agg(
        format('%s(%s)', kata_data.call_name(c.call), kata_data.call_arguments(c.call)), ', ' order by c.ordinality)
      from jsonb_array_elements(tool_calls) with ordinality c(call, ordinality))
    when parts is not null then concat_ws(' ', nullif(array_to_string(kata_data.media_of(parts), ' '), ''), nullif(content, ''))
    else coalesce(content, '')
  end, 100)
$$;
comment on function kata_data.preview(text, jsonb, jsonb) is
'The first 100 characters of a message: marks of its images and files and its text, or else its calls.';

create or replace function kata_data.media_of(parts jsonb) returns text[]
language sql immutable
as $$
  select case when parts is not null then array(
    select format('[%s]', k.kind[1])
    from jsonb_array_elements(parts) with ordinality p(part, place)
    cross join lateral regexp_match(concat_ws(' ', p.part ->> 'type', p.part #>> '{inlineData,mimeType}', p.part #>> '{fileData,mimeType}'),
      '(image|audio|video|document|file)') k(kind)
    where k.kind is not null
    order by p.place)
  end
$$;
comment on function kata_data.media_of(jsonb) is
'A mark for each part that is an image, a sound, a video, a document or a file, where only text is shown.

Null where a message has no parts.';
